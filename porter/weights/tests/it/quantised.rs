//! Quantised checkpoints: every scheme against the values of the code that defines it.

use std::fs;

use porter_ir::DType;
use porter_weights::{
    Checkpoint, Encoding, Error, Expr, QuantisedConfig, QuantisedTensors, QuantisedTo, WeightMap, holds,
    stream::{self, Conversion, LocalStore, Options, Share},
    write::{OutputTensor, safetensors},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    common::{assert_same_bits, f32s, fixture},
    memory::Memory,
};

fn json_of(path: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(path)).unwrap()).unwrap()
}

/// The checkpoint of a fixture, its quantised tensors, and their values.
fn open(name: &str) -> (Box<dyn Checkpoint>, QuantisedTensors, Box<dyn Checkpoint>) {
    let open = |file: &str| porter_weights::open(&fixture(&format!("quantised/{name}/{file}"))).unwrap();
    let stored = open("model.safetensors");
    let config = json_of(&format!("quantised/{name}/config.json"));
    let config = QuantisedConfig::from_config(&config).unwrap().unwrap();
    let quantised = QuantisedTensors::find(&config, stored.as_ref()).unwrap();
    (stored, quantised, open("expected.safetensors"))
}

fn evaluate(expr: &Expr, checkpoint: &dyn Checkpoint, dtype: DType) -> Vec<u8> {
    let elements = expr.infer(checkpoint).unwrap().shape.elements();
    let mut out = vec![0xAA; elements * dtype.host_bytes()];
    expr.evaluate(checkpoint, dtype, &mut out).unwrap();
    out
}

fn floats(expr: &Expr, checkpoint: &dyn Checkpoint) -> Vec<f32> {
    let bytes = evaluate(expr, checkpoint, DType::F32);
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// The fixtures that hold quantised tensors.
fn fixtures() -> Vec<String> {
    let manifest = json_of("quantised/manifest.json");
    manifest.as_object().unwrap().keys().filter(|name| !name.starts_with("quantise_")).cloned().collect()
}

#[test]
fn every_scheme_has_the_values_of_its_defining_code() {
    for name in fixtures() {
        let (stored, quantised, expected) = open(&name);
        assert!(quantised.tensors().keys().eq(expected.tensors().keys()), "{name}");
        for (tensor, info) in expected.tensors() {
            let expr = &quantised.tensors()[tensor];
            let found = expr.infer(stored.as_ref()).unwrap();
            assert_eq!((Some(found.dtype), &found.shape), (info.encoding.dtype(), &info.shape), "{name}");
            // NaN has many bit patterns.
            let canonical = |x: f32| if x.is_nan() { f32::NAN } else { x };
            let found: Vec<f32> = floats(expr, stored.as_ref()).into_iter().map(canonical).collect();
            let expected: Vec<f32> = f32s(expected.as_ref(), tensor).into_iter().map(canonical).collect();
            assert_same_bits(&found, &expected, &format!("{name}: {tensor}"));
        }
    }
}

#[test]
fn a_run_of_elements_is_a_part_of_the_whole() {
    for name in fixtures() {
        let (stored, quantised, _) = open(&name);
        for (tensor, expr) in quantised.tensors() {
            let whole = floats(expr, stored.as_ref());
            let shape = expr.infer(stored.as_ref()).unwrap().shape;
            let flat = expr.clone().reshape([whole.len()]);
            for (start, len) in [(0, 1), (1, 5), (7, 31), (whole.len() / 2, whole.len() / 3)] {
                let (start, end) = (start.min(whole.len()), (start + len).min(whole.len()));
                let part = floats(&flat.clone().slice([std::ops::Range { start, end }]), stored.as_ref());
                assert_same_bits(
                    &part,
                    &whole[start..end],
                    &format!("{name}: {tensor} {start}..{end} {shape}"),
                );
            }
        }
    }
}

#[test]
fn streaming_by_positioned_reads_gives_the_same_bytes() {
    for name in fixtures() {
        let (stored, quantised, _) = open(&name);
        let tensors = quantised.tensors().iter().map(|(tensor, expr)| {
            let ty = expr.infer(stored.as_ref()).unwrap();
            let encoding = Encoding::Plain(ty.dtype);
            OutputTensor { name: tensor.clone(), expr: expr.clone(), shape: ty.shape, encoding }
        });
        let layout =
            safetensors::plan(tensors.collect(), &safetensors::SafetensorsOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let conversion = Conversion { what: "a test", checkpoint: stored.as_ref(), layout: &layout };
        let options = Options { memory: 64 << 20, threads: 2, share: Share::default() };
        stream::write(&conversion, &LocalStore::folder(folder.path()).unwrap(), &options, &()).unwrap();
        let written = porter_weights::open(folder.path()).unwrap();
        for (tensor, expr) in quantised.tensors() {
            let dtype = written.tensors()[tensor].encoding.dtype().unwrap();
            let bytes = evaluate(expr, stored.as_ref(), dtype);
            assert_eq!(bytes, *written.tensor(tensor).unwrap().bytes, "{name}: {tensor}");
        }
    }
}

#[test]
fn a_large_tensor_is_the_same_in_any_order() {
    let (rows, columns) = (512, 1056);
    let mut memory = Memory::default();
    let words = |count: usize, salt: u32| -> Vec<u8> {
        let words = (0..count as u32).map(|i| (i ^ salt).wrapping_mul(2_654_435_761));
        words.flat_map(u32::to_le_bytes).collect()
    };
    memory.insert(
        "x.qweight",
        Encoding::Plain(DType::I32),
        &[rows / 8, columns],
        words(rows / 8 * columns, 1),
    );
    memory.insert("x.qzeros", Encoding::Plain(DType::I32), &[4, columns / 8], words(4 * columns / 8, 2));
    let scales: Vec<u8> =
        (0..4 * columns).flat_map(|i| half::f16::from_f32(0.001 * i as f32).to_le_bytes()).collect();
    memory.insert("x.scales", Encoding::Plain(DType::F16), &[4, columns], scales);
    let config = json!({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}});
    let config = QuantisedConfig::from_config(&config).unwrap().unwrap();
    let quantised = QuantisedTensors::find(&config, &memory).unwrap();
    let logical = quantised.tensors()["x.weight"].clone();
    let Expr::Permute { input: stored, .. } = logical.clone() else { panic!("{logical:?}") };
    let (logical, stored) = (floats(&logical, &memory), floats(&stored, &memory));
    let transposed: Vec<f32> =
        (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c)).map(|at| stored[at]).collect();
    assert_same_bits(&logical, &transposed, "transposed");
    assert!(stored.iter().any(|x| x.to_bits() != stored[0].to_bits()));
}

#[test]
fn a_map_over_the_logical_names_fits_and_uses_every_piece() {
    for name in fixtures() {
        let (stored, quantised, expected) = open(&name);
        let mut map = WeightMap::new();
        for (tensor, info) in expected.tensors() {
            assert!(holds(stored.as_ref(), tensor), "{name}: {tensor}");
            map.insert(tensor, info.shape.clone(), Expr::source(tensor));
        }
        let pieces: Vec<&str> = quantised.tensors().values().flat_map(Expr::sources).collect();
        let plain =
            |name: &str| !pieces.contains(&name) && !["x.bias", "y.input_scale", "x.g_idx"].contains(&name);
        for (tensor, info) in stored.tensors().iter().filter(|(name, _)| plain(name)) {
            map.insert(tensor, info.shape.clone(), Expr::source(tensor));
        }
        assert!(!map.check(stored.as_ref()).fits(), "{name}");
        let map = quantised.resolve(map);
        let report = map.check(stored.as_ref());
        assert!(report.fits(), "{name}: {report}");
        assert_eq!(quantised.resolve(map.clone()).parameters(), map.parameters(), "{name}");
    }
}

#[test]
fn a_bias_of_zeros_is_tolerated_and_another_is_not() {
    let (stored, quantised, _) = open("gptq4");
    let mut map = WeightMap::new();
    map.insert("x.weight", [32, 64], Expr::source("x.weight"));
    let report = quantised.resolve(map.clone()).check(stored.as_ref());
    assert_eq!(report.tolerated.len(), 1, "{report}");

    let mut memory = copy(stored.as_ref());
    memory.insert("x.bias", Encoding::Plain(DType::F16), &[32], vec![1; 64]);
    let config = QuantisedConfig::from_config(&json_of("quantised/gptq4/config.json")).unwrap().unwrap();
    let report = QuantisedTensors::find(&config, &memory).unwrap().resolve(map).check(&memory);
    assert_eq!(report.unused, ["x.bias"]);
}

fn copy(checkpoint: &dyn Checkpoint) -> Memory {
    let mut memory = Memory::default();
    for (name, info) in checkpoint.tensors() {
        let bytes = checkpoint.tensor(name).unwrap().bytes.into_owned();
        memory.insert(name, info.encoding.clone(), &info.shape, bytes);
    }
    memory
}

/// What is said of a fixture whose tensors were changed.
fn refusal(name: &str, change: impl FnOnce(&mut Memory)) -> String {
    let stored = porter_weights::open(&fixture(&format!("quantised/{name}/model.safetensors"))).unwrap();
    let mut memory = copy(stored.as_ref());
    change(&mut memory);
    let config = json_of(&format!("quantised/{name}/config.json"));
    let config = QuantisedConfig::from_config(&config).unwrap().unwrap();
    let error = QuantisedTensors::find(&config, &memory).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    error.to_string()
}

#[test]
fn every_piece_is_needed_and_has_one_shape() {
    for name in fixtures() {
        let (stored, quantised, _) = open(&name);
        let Some((_, expr)) = quantised.tensors().iter().next() else { panic!("{name}") };
        for piece in expr.sources() {
            // Without these a tensor is another one, and still whole.
            let optional =
                piece.ends_with("zero_point") || piece.ends_with("g_idx") || piece.ends_with("_format");
            let mut memory = copy(stored.as_ref());
            memory.remove(piece);
            let config = json_of(&format!("quantised/{name}/config.json"));
            let config = QuantisedConfig::from_config(&config).unwrap().unwrap();
            let found = QuantisedTensors::find(&config, &memory);
            let whole = found.as_ref().is_ok_and(|found| found.tensors().len() == quantised.tensors().len());
            assert!(!whole || optional, "{name} without {piece}");
            let info = &stored.tensors()[piece];
            if ["ct_float8_tensor", "fp8_tensor"].contains(&&*name) && piece.ends_with("weight") {
                continue; // One scale fits every shape.
            }
            refusal(name.as_str(), |memory| {
                let shape = [info.shape.elements() + 3, 7];
                let bytes = vec![1; shape[0] * 7 * 8];
                memory.insert(piece, info.encoding.clone(), &shape, bytes);
            });
        }
    }
}

#[test]
fn refusals_name_what_was_found_and_what_was_expected() {
    let f16 = |shape: &'static [usize]| {
        move |memory: &mut Memory, name: &str| {
            let bytes = vec![0; shape.iter().product::<usize>() * 2];
            memory.insert(name, Encoding::Plain(DType::F16), shape, bytes);
        }
    };
    assert_eq!(
        refusal("gptq4", |memory| f16(&[3, 30])(memory, "x.scales")).lines().next_back().unwrap().trim(),
        "memory is corrupt: tensor \"x.weight\": dequantise: gptq, 4 bits: scales is f16[3, 30]; expected bf16 or \
         f16 or f32 of shape [3, 32]"
    );
    let missing = refusal("awq", |memory| memory.remove("y.qzeros"));
    assert!(
        missing.contains("tensor \"y.weight\": is quantised (awq), and \"y.qzeros\" is missing"),
        "{missing}"
    );
    let alone = refusal("ct_int8_channel", |memory| memory.remove("float32.weight_scale"));
    assert!(alone.contains("tensor \"float32.weight\": is stored as i8, and nothing of"), "{alone}");
    let map = refusal("bnb_nf4", |memory| {
        memory.insert("x.weight.quant_map", Encoding::Plain(DType::F32), &[16], vec![0; 64]);
    });
    assert!(map.contains("is not the map of Nf4"), "{map}");
    let format = refusal("bnb_int8", |memory| {
        memory.insert("x.weight_format", Encoding::Plain(DType::U8), &[], vec![1]);
    });
    assert!(format.contains("format 0, by rows, is read"), "{format}");
}

#[test]
fn a_group_that_is_not_there_is_refused_when_it_is_read() {
    for group in [4_i32, -1, i32::MAX] {
        let stored = porter_weights::open(&fixture("quantised/gptq_act/model.safetensors")).unwrap();
        let mut memory = copy(stored.as_ref());
        let mut order = memory.tensor("x.g_idx").unwrap().bytes.into_owned();
        order[40..44].copy_from_slice(&group.to_le_bytes());
        memory.insert("x.g_idx", Encoding::Plain(DType::I32), &[64], order);
        let config = json_of("quantised/gptq_act/config.json");
        let config = QuantisedConfig::from_config(&config).unwrap().unwrap();
        let quantised = QuantisedTensors::find(&config, &memory).unwrap();
        let expr = &quantised.tensors()["x.weight"];
        let error = expr.evaluate(&memory, DType::F32, &mut vec![0; 64 * 32 * 4]).unwrap_err();
        assert!(error.to_string().contains(&format!("group {group}")), "{error}");
    }
}

#[test]
fn configs_are_understood_or_refused_by_name() {
    let refused = |config: Value| {
        let problems = QuantisedConfig::from_config(&json!({ "quantization_config": config })).unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(QuantisedConfig::from_config(&json!({})).unwrap(), None);
    assert_eq!(QuantisedConfig::from_config(&json!({ "quantization_config": null })).unwrap(), None);
    let unknown = refused(json!({"quant_method": "hqq"}));
    assert!(unknown.contains("\"hqq\"; fp8, mxfp4, gptq"), "{unknown}");
    let several =
        refused(json!({"quant_method": "gptq", "bits": 5, "checkpoint_format": "marlin", "twist": 1}));
    assert_eq!(several.lines().count(), 3, "{several}");
    assert!(several.contains("quantization_config.twist"), "{several}");
    let gemv = refused(json!({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemv"}));
    assert!(gemv.contains("version\": is \"gemv\"; gemm"), "{gemv}");
    let sparse = json!({
        "quant_method": "compressed-tensors", "format": "marlin-24", "sparsity_config": {"format": "sparse-24"},
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int"}}},
    });
    let sparse = refused(sparse);
    assert!(sparse.contains("marlin-24") && sparse.contains("sparsity_config"), "{sparse}");
    for wrong in
        [json!(7), json!([]), json!({}), json!({"quant_method": ["gptq"]}), json!({"quant_method": "awq"})]
    {
        assert!(!refused(wrong).is_empty());
    }
}

#[test]
fn int4_by_group_is_what_compressed_tensors_makes_of_the_same_weights() {
    quantises_as_compressed_tensors("quantise_int4", QuantisedTo::Int4);
}

#[test]
fn int8_is_what_compressed_tensors_makes_of_the_same_weights() {
    quantises_as_compressed_tensors("quantise_int8", QuantisedTo::Int8);
}

#[test]
fn fp8_is_what_compressed_tensors_makes_of_the_same_weights() {
    quantises_as_compressed_tensors("quantise_fp8", QuantisedTo::Fp8);
}

fn quantises_as_compressed_tensors(folder: &str, to: QuantisedTo) {
    let open = |file: &str| porter_weights::open(&fixture(&format!("quantised/{folder}/{file}"))).unwrap();
    let (stored, expected) = (open("model.safetensors"), open("expected.safetensors"));
    for (name, info) in stored.tensors() {
        let (values, scales) =
            (Expr::source(name).quantised_values(to), Expr::source(name).quantised_scales(to));
        for (expr, key) in [(values, name.clone()), (scales, format!("{name}_scale"))] {
            let reference = expected.tensor(&key).unwrap();
            let found = expr.infer(stored.as_ref()).unwrap();
            assert_eq!(
                (Some(found.dtype), &found.shape),
                (reference.info.encoding.dtype(), &reference.info.shape)
            );
            assert_eq!(evaluate(&expr, stored.as_ref(), found.dtype), *reference.bytes, "{key}");
            assert_same_bits(&floats(&expr, stored.as_ref()), &f32s(expected.as_ref(), &key), &key);
        }
        assert_ne!(info.encoding.dtype(), None);
    }
}

#[test]
fn what_has_no_integer_is_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let mut memory = Memory::default();
        memory.insert_f32("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, value, 5.0]);
        let expr = Expr::source("w").quantised_scales(QuantisedTo::Int8);
        let error = expr.evaluate(&memory, DType::F32, &mut [0; 8]).unwrap_err();
        assert!(error.to_string().contains("row 1"), "{error}");
    }
    let mut memory = Memory::default();
    memory.insert_f32("v", &[3], &[1.0, 2.0, 3.0]);
    memory.insert("i", Encoding::Plain(DType::I32), &[1, 3], vec![0; 12]);
    for name in ["v", "i"] {
        assert!(Expr::source(name).quantised_values(QuantisedTo::Int8).infer(&memory).is_err());
    }
}

/// A change to a quantised checkpoint that a hostile file may bring.
#[derive(Clone, Debug)]
enum Harm {
    /// Another number at some place of the config.
    Config { at: usize, number: u64 },
    /// Another shape of some tensor, its bytes what the dtype says.
    Shape { tensor: usize, shape: Vec<usize> },
    /// Another byte of some tensor.
    Byte { tensor: usize, at: usize, byte: u8 },
    /// Another dtype of some tensor.
    Dtype { tensor: usize, dtype: usize },
}

fn harms() -> impl Strategy<Value = Vec<Harm>> {
    let numbers = prop_oneof![0_u64..10, Just(1 << 20), Just(1 << 31), Just(1 << 62), Just(u64::MAX)];
    let sizes = prop_oneof![4 => 0_usize..70, 1 => Just(1 << 40)];
    let harm = prop_oneof![
        (any::<usize>(), numbers).prop_map(|(at, number)| Harm::Config { at, number }),
        (any::<usize>(), prop::collection::vec(sizes, 0..4))
            .prop_map(|(tensor, shape)| Harm::Shape { tensor, shape }),
        (any::<usize>(), any::<usize>(), any::<u8>()).prop_map(|(tensor, at, byte)| Harm::Byte {
            tensor,
            at,
            byte
        }),
        (any::<usize>(), any::<usize>()).prop_map(|(tensor, dtype)| Harm::Dtype { tensor, dtype }),
    ];
    prop::collection::vec(harm, 1..4)
}

/// Every number below a JSON value.
fn numbers(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Number(_) => vec![value],
        Value::Array(list) => list.iter_mut().flat_map(numbers).collect(),
        Value::Object(map) => map.values_mut().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}

/// `tensor` with another entry, and as many bytes as that takes; nothing where it would not fit here.
fn reshape(memory: &mut Memory, tensor: &str, dtype: DType, shape: &[usize]) {
    let elements = shape.iter().try_fold(1_usize, |n, size| n.checked_mul(*size)).filter(|n| *n < 1 << 20);
    let Some(elements) = elements.filter(|_| dtype.bits() >= 8) else { return };
    let mut bytes = memory.tensor(tensor).unwrap().bytes.into_owned();
    bytes.resize(elements * dtype.host_bytes(), 0x31);
    memory.insert(tensor, Encoding::Plain(dtype), shape, bytes);
}

fn harm(memory: &mut Memory, config: &mut Value, harm: &Harm) {
    let names: Vec<String> = memory.tensors().keys().cloned().collect();
    let name = |tensor: &usize| names[tensor % names.len()].clone();
    match harm {
        Harm::Config { at, number } => {
            let mut places = numbers(config);
            let count = places.len().max(1);
            if let Some(place) = places.get_mut(at % count) {
                **place = (*number).into();
            }
        }
        Harm::Shape { tensor, shape } => {
            let name = name(tensor);
            let dtype = memory.tensors()[&name].encoding.dtype().unwrap();
            reshape(memory, &name, dtype, shape);
        }
        Harm::Dtype { tensor, dtype } => {
            let name = name(tensor);
            let shape = memory.tensors()[&name].shape.to_vec();
            reshape(memory, &name, DType::ALL[dtype % DType::ALL.len()], &shape);
        }
        Harm::Byte { tensor, at, byte } => {
            let name = name(tensor);
            let info = memory.tensors()[&name].clone();
            let mut bytes = memory.tensor(&name).unwrap().bytes.into_owned();
            let at = at % bytes.len().max(1);
            if let Some(place) = bytes.get_mut(at) {
                *place = *byte;
            }
            memory.insert(&name, info.encoding, &info.shape, bytes);
        }
    }
}

proptest! {
    #[test]
    fn no_harm_panics(fixture_number in any::<usize>(), harms in harms()) {
        let fixtures = fixtures();
        let name = &fixtures[fixture_number % fixtures.len()];
        let stored = porter_weights::open(&fixture(&format!("quantised/{name}/model.safetensors"))).unwrap();
        let mut memory = copy(stored.as_ref());
        let mut config = json_of(&format!("quantised/{name}/config.json"));
        for one in &harms {
            harm(&mut memory, &mut config["quantization_config"], one);
        }
        if let Ok(Some(config)) = QuantisedConfig::from_config(&config)
            && let Ok(quantised) = QuantisedTensors::find(&config, &memory)
        {
            for expr in quantised.tensors().values() {
                let elements = expr.infer(&memory).unwrap().shape.elements();
                if elements < 1 << 20 {
                    let _ = expr.evaluate(&memory, DType::F32, &mut vec![0; elements * 4]);
                }
            }
        }
    }
}
