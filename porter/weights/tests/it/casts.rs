//! Conversions between plain dtypes, where rounding twice would be wrong, and where they are refused.

use porter_ir::DType;
use porter_weights::{Encoding, ExprError, TensorInfo, TensorView};
use proptest::prelude::*;

/// Stored elements of `from`, read as `to`.
fn cast(stored: &[u8], from: DType, to: DType) -> Result<Vec<u8>, ExprError> {
    let elements = stored.len() * 8 / from.bits().max(if from == DType::Bool { 8 } else { 4 });
    let info =
        TensorInfo { shape: vec![elements].into(), encoding: Encoding::Plain(from), bytes: stored.len() };
    let mut out = vec![0; elements * to.host_bytes()];
    TensorView { info: &info, bytes: stored.into() }.read_into(to, &mut out).map(|()| out)
}

/// The bf16 nearest to `x`, ties to even, by comparing with its two neighbours in exact integers.
fn nearest_bf16(x: i64) -> u16 {
    let value = |code: u16| half::bf16::from_bits(code).to_f64() as i128;
    let below = (x.unsigned_abs() as f64).to_bits() >> 45;
    // The truncated f64, as bf16: rebias 1023 to 127.
    let below = if x == 0 { 0 } else { (below as u16).wrapping_sub((1023 - 127) << 7) };
    let candidates = [below.saturating_sub(1), below, below + 1];
    let magnitude = i128::from(x.unsigned_abs());
    let best =
        candidates.into_iter().min_by_key(|&code| ((value(code) - magnitude).abs(), code & 1)).unwrap();
    if x < 0 { best | 0x8000 } else { best }
}

proptest! {
    #[test]
    fn whole_numbers_are_rounded_once(high in any::<i64>(), shift in 0_u32..64, low in -2_i64..3) {
        // Close to numbers of few bits, where rounding twice goes wrong.
        let few_bits = (high >> 52) << 52 >> shift;
        for x in [high >> shift, few_bits.saturating_add(low)] {
            prop_assert_eq!(cast(&x.to_le_bytes(), DType::I64, DType::F32).unwrap(), (x as f32).to_le_bytes());
            prop_assert_eq!(cast(&x.to_le_bytes(), DType::I64, DType::F64).unwrap(), (x as f64).to_le_bytes());
            let bf16 = cast(&x.to_le_bytes(), DType::I64, DType::BF16).unwrap();
            prop_assert_eq!(u16::from_le_bytes([bf16[0], bf16[1]]), nearest_bf16(x), "{}", x);
        }
    }

    #[test]
    fn doubles_are_rounded_once(code in 0_u16..0x7F7F, nudge in prop::sample::select(vec![-1, 0, 1])) {
        // The midpoint of two bf16 numbers, moved by less than an f32 sees.
        let (low, high) = (half::bf16::from_bits(code).to_f64(), half::bf16::from_bits(code + 1).to_f64());
        let middle = f64::midpoint(low, high);
        let x = f64::from_bits((middle.to_bits() as i64 + nudge) as u64);
        let even = code + (code & 1);
        let expected = match nudge { -1 => code, 0 => even, _ => code + 1 };
        prop_assert_eq!(cast(&x.to_le_bytes(), DType::F64, DType::BF16).unwrap(), expected.to_le_bytes());
    }
}

#[test]
fn whole_numbers_that_do_not_fit_are_an_error() {
    let fits = |x: i64, to| cast(&x.to_le_bytes(), DType::I64, to);
    assert_eq!(fits(-128, DType::I8).unwrap(), [0x80]);
    assert_eq!(fits(4_294_967_295, DType::U32).unwrap(), [0xFF; 4]);
    for (x, to) in [(128, DType::I8), (-1, DType::U64), (1 << 32, DType::U32), (1 << 31, DType::I32)] {
        assert!(matches!(fits(x, to), Err(ExprError::OutOfRange { dtype }) if dtype == to), "{x} as {to}");
    }
}

#[test]
fn four_bit_floats_are_read_low_half_first() {
    let values = cast(&[0x21, 0xF7], DType::F4E2M1FN, DType::F32).unwrap();
    let expected: Vec<u8> = [0.5_f32, 1.0, 6.0, -6.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(values, expected);
}

#[test]
fn truth_values_are_one_or_zero() {
    assert_eq!(cast(&[0, 1], DType::Bool, DType::I16).unwrap(), [0, 0, 1, 0]);
    assert_eq!(cast(&[0, 1], DType::Bool, DType::F32).unwrap()[4..], 1_f32.to_le_bytes());
}

#[test]
fn casts_without_a_meaning_are_refused() {
    for (from, to) in [
        (DType::F32, DType::I32),
        (DType::F32, DType::Bool),
        (DType::I8, DType::Bool),
        (DType::F32, DType::F4E2M1FN),
        (DType::U8, DType::U4),
        (DType::I4, DType::I8),
    ] {
        assert!(matches!(cast(&[0; 8], from, to), Err(ExprError::Cast(_))), "{from} as {to}");
    }
}

/// Every pair of dtypes either converts or is refused; a dtype always converts to itself.
#[test]
fn every_pair_of_dtypes_is_decided() {
    for from in DType::ALL {
        for to in DType::ALL {
            let converted = cast(&[0; 16], from, to);
            assert!(from != to || to.bits() == 4 || converted.unwrap() == [0; 16], "{from} as {to}");
        }
    }
}
