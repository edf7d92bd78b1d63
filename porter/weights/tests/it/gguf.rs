//! GGUF: every tensor type against gguf-py's values, and the header of a real converter's output.

use crate::common::{assert_same_bits, decode, f32s, open};
use porter_ir::DType;
use porter_weights::{Array, Encoding, Format, GgmlType, Value};

#[test]
fn every_type_has_the_values_of_gguf_py() {
    let (file, expected) = (open("gguf/all_types.gguf"), open("gguf/all_types.expected.safetensors"));
    assert_eq!(file.tensors().len(), 31);
    for (name, info) in file.tensors() {
        let reference = expected.tensor(name.strip_prefix("t.").unwrap()).unwrap();
        assert_eq!(info.shape, reference.info.shape, "{name}");
        let reference = f32s(expected.as_ref(), name.strip_prefix("t.").unwrap());
        assert_same_bits(&f32s(file.as_ref(), name), &reference, name);
    }
    let read: Vec<_> = file.tensors().values().map(|info| info.encoding.clone()).collect();
    assert!(GgmlType::ALL.into_iter().all(|block| read.contains(&Encoding::Block(block))));
}

#[test]
fn quantised_bytes_of_gguf_py_have_its_values() {
    let file = open("gguf/quantize.expected.safetensors");
    let encodings = [
        ("Q4_0", Encoding::Block(GgmlType::Q4_0)),
        ("Q4_1", Encoding::Block(GgmlType::Q4_1)),
        ("Q5_0", Encoding::Block(GgmlType::Q5_0)),
        ("Q5_1", Encoding::Block(GgmlType::Q5_1)),
        ("Q8_0", Encoding::Block(GgmlType::Q8_0)),
        ("F16", Encoding::Plain(DType::F16)),
        ("BF16", Encoding::Plain(DType::BF16)),
    ];
    for (name, encoding) in encodings {
        let stored = file.tensor(&format!("q.{name}")).unwrap().bytes;
        let values = decode(&stored, encoding, &[4, 256]);
        assert_same_bits(&values, &f32s(file.as_ref(), &format!("d.{name}")), name);
    }
}

#[test]
fn blocks_read_as_a_narrower_type_are_their_values_rounded() {
    let file = open("gguf/all_types.gguf");
    for name in file.tensors().keys() {
        let view = file.tensor(name).unwrap();
        let mut out = vec![0; view.info.shape.elements() * 2];
        view.read_into(DType::BF16, &mut out).unwrap();
        let rounded: Vec<u16> = out.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)).collect();
        let expected: Vec<u16> =
            f32s(file.as_ref(), name).into_iter().map(|x| half::bf16::from_f32(x).to_bits()).collect();
        assert_eq!(rounded, expected, "{name}");
    }
}

#[test]
fn metadata_keeps_its_types_and_values() {
    let file = open("gguf/all_types.gguf");
    assert_eq!(file.format(), Format::Gguf { version: 3, parts: 1 });
    let texts =
        |texts: &[&str]| Value::Array(Array::String(texts.iter().map(|&text| text.to_owned()).collect()));
    let expected = [
        ("general.architecture", Value::String("llama".to_owned())),
        ("general.name", Value::String("block types".to_owned())),
        ("test.arr_i", Value::Array(Array::I32(vec![1, 2, 3]))),
        ("test.arr_s", texts(&["a", "", "é"])),
        ("test.bool", Value::Bool(true)),
        ("test.f32", Value::F32(1.5)),
        ("test.f64", Value::F64(2.25)),
        ("test.i16", Value::I16(-300)),
        ("test.i32", Value::I32(-7)),
        ("test.i64", Value::I64(-4_611_686_018_427_387_904)),
        ("test.i8", Value::I8(-5)),
        ("test.str", Value::String("naïve 🙂".to_owned())),
        ("test.u16", Value::U16(60000)),
        ("test.u32", Value::U32(4_000_000_000)),
        ("test.u64", Value::U64(9_223_372_036_854_775_808)),
        ("test.u8", Value::U8(200)),
    ];
    let found: Vec<(&str, Value)> = file.metadata().iter().map(|(key, value)| (key, value.clone())).collect();
    assert_eq!(found, expected);
}
