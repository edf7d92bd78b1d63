//! The 8-bit floats against `ml_dtypes`.

use porter_ir::DType;
use porter_weights::{Encoding, TensorInfo, TensorView};

use crate::common::decode;

/// Every code's value by `ml_dtypes`: E4M3FN, then E5M2.
fn table() -> [Vec<f32>; 2] {
    let lines = include_str!("../data/float8.txt").lines().filter(|line| !line.starts_with('#'));
    let mut table = [Vec::new(), Vec::new()];
    for (code, line) in lines.enumerate() {
        let fields: Vec<u32> = line.split(' ').map(|field| u32::from_str_radix(field, 16).unwrap()).collect();
        assert_eq!(fields[0] as usize, code);
        table[0].push(f32::from_bits(fields[1]));
        table[1].push(f32::from_bits(fields[2]));
    }
    assert_eq!(table[0].len(), 256);
    table
}

const TYPES: [DType; 2] = [DType::F8E4M3FN, DType::F8E5M2];

fn encode(values: &[f32], dtype: DType) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let shape = vec![values.len()].into();
    let info = TensorInfo { shape, encoding: Encoding::Plain(DType::F32), bytes: bytes.len() };
    let mut out = vec![0; values.len()];
    TensorView { info: &info, bytes: (&bytes[..]).into() }.read_into(dtype, &mut out).unwrap();
    out
}

#[test]
fn every_code_has_the_value_of_ml_dtypes_and_comes_back() {
    let codes: Vec<u8> = (0..=255).collect();
    for (dtype, expected) in TYPES.into_iter().zip(table()) {
        let values = decode(&codes, Encoding::Plain(dtype), &[256]);
        for ((code, found), expected) in encode(&values, dtype).into_iter().zip(&values).zip(expected) {
            if expected.is_nan() {
                assert!(found.is_nan());
                continue;
            }
            assert_eq!(found.to_bits(), expected.to_bits(), "{dtype}");
            assert_eq!(expected.to_bits(), decode(&[code], Encoding::Plain(dtype), &[1])[0].to_bits());
        }
    }
}

/// At, just below and just above every midpoint of neighbouring positive values, the nearer code is
/// chosen, and the even one at the midpoint itself.
#[test]
fn rounding_is_to_nearest_and_ties_to_even() {
    for (dtype, values) in TYPES.into_iter().zip(table()) {
        let positive: Vec<f32> = values[..128].iter().copied().take_while(|x| x.is_finite()).collect();
        for (code, pair) in positive.windows(2).enumerate() {
            let (low, high) = (code as u8, code as u8 + 1);
            let middle = f32::midpoint(pair[0], pair[1]);
            let even = if low.is_multiple_of(2) { low } else { high };
            let probes = [middle.next_down(), middle, middle.next_up(), -middle];
            assert_eq!(encode(&probes, dtype), [low, even, high, even | 0x80], "{dtype} at {middle:e}");
        }
    }
}

/// `ml_dtypes` 0.6.0: `np.array([...], np.float32).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)`.
#[test]
fn what_is_too_large_is_as_in_ml_dtypes() {
    let large = [464.0, 464.1, 480.0, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -464.1];
    assert_eq!(encode(&large, DType::F8E4M3FN), [0x7e, 0x7f, 0x7f, 0x7f, 0x7f, 0xff, 0x7f, 0xff]);
    let large = [61439.996, 61440.0, 1e9, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    assert_eq!(encode(&large, DType::F8E5M2), [0x7b, 0x7c, 0x7c, 0x7c, 0xfc, 0x7e]);
}
