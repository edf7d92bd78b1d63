//! Distances in units in the last place.

use half::{bf16, f16};
use porter_ir::DType;
use serde::Serialize;

/// Distances in units in the last place of the compared dtype: how many representable numbers lie
/// between the two values. Integers count in ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ulp {
    /// The greatest distance.
    pub max: u64,
    /// The median distance, exact up to 32 and rounded down by at most 1/32 beyond.
    pub median: u64,
}

/// The type in which two tensors are told apart: the narrower of two floats, else the reference's.
pub(crate) fn compared_dtype(ours: DType, reference: DType) -> DType {
    if ours.is_float() && (!reference.is_float() || ours.bits() < reference.bits()) {
        ours
    } else {
        reference
    }
}

/// The distance function of `dtype`. Both values must be finite.
///
/// The 16-bit types are reached through `f32`: `half` rounds `f64` without its lowest 32 bits.
pub(crate) fn distance(dtype: DType) -> fn(f64, f64) -> u64 {
    match dtype {
        DType::F64 => |a, b| rank64(a).abs_diff(rank64(b)),
        DType::F32 => |a, b| apart(rank32(a as f32), rank32(b as f32)),
        DType::F16 => {
            |a, b| apart(rank16(f16::from_f32(a as f32).to_bits()), rank16(f16::from_f32(b as f32).to_bits()))
        }
        DType::BF16 => |a, b| {
            apart(rank16(bf16::from_f32(a as f32).to_bits()), rank16(bf16::from_f32(b as f32).to_bits()))
        },
        _ => |a, b| (a - b).abs() as u64,
    }
}

fn apart(a: i32, b: i32) -> u64 {
    a.abs_diff(b).into()
}

/// The place of a number among all numbers of its type: neighbours differ by one, both zeros are 0.
fn rank64(value: f64) -> i64 {
    let magnitude = (value.to_bits() & (u64::MAX >> 1)) as i64;
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

fn rank32(value: f32) -> i32 {
    let magnitude = (value.to_bits() & (u32::MAX >> 1)) as i32;
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

fn rank16(bits: u16) -> i32 {
    let magnitude = i32::from(bits & (u16::MAX >> 1));
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_apart() {
        let one = 1.0_f64;
        assert_eq!(distance(DType::F64)(one, one.next_up()), 1);
        assert_eq!(distance(DType::F32)(one, 1.0_f32.next_up().into()), 1);
        assert_eq!(distance(DType::BF16)(one, one + 0.007_812_5), 1);
        assert_eq!(distance(DType::F16)(one, one + 0.000_976_562_5), 1);
        assert_eq!(distance(DType::F32)(f32::from_bits(1).into(), (-f32::from_bits(1)).into()), 2);
        assert_eq!(distance(DType::F32)(0.0, -0.0), 0);
        assert_eq!(distance(DType::F64)(f64::MIN, f64::MAX), 2 * f64::MAX.to_bits());
        assert_eq!(distance(DType::I64)(3.0, -4.0), 7);
    }

    #[test]
    fn the_narrower_float_is_compared() {
        assert_eq!(compared_dtype(DType::BF16, DType::F32), DType::BF16);
        assert_eq!(compared_dtype(DType::F32, DType::BF16), DType::BF16);
        assert_eq!(compared_dtype(DType::F32, DType::F64), DType::F32);
        assert_eq!(compared_dtype(DType::I32, DType::I64), DType::I64);
    }
}
