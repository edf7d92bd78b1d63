//! Distances in units in the last place.

use half::f16;
use porter_ir::DType;
use serde::Serialize;

use crate::histogram;

/// Distances in units in the last place of the compared dtype: how many representable numbers lie
/// between the two values. Integers count in ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ulp {
    /// The greatest distance.
    pub max: u64,
    /// The median distance, exact up to 32 and rounded down by at most 1/32 beyond.
    pub median: u64,
    /// The 99th percentile, as exact.
    pub p99: u64,
}

/// The type in which two tensors are told apart: the narrower of two floats, else the reference's.
pub(crate) fn compared_dtype(ours: DType, reference: DType) -> DType {
    if ours.is_float() && (!reference.is_float() || ours.bits() < reference.bits()) {
        ours
    } else {
        reference
    }
}

/// How distances are taken in one type.
#[derive(Clone, Copy)]
pub(crate) struct Distances {
    block: fn(&[f64], &[f64], &mut Vec<u16>) -> u64,
}

impl Distances {
    /// In `dtype`. All values must be finite.
    ///
    /// The 16-bit types are reached through `f32`: `half` rounds `f64` without its lowest 32 bits.
    pub(crate) fn of(dtype: DType) -> Self {
        let block: fn(&[f64], &[f64], &mut Vec<u16>) -> u64 = match dtype {
            DType::F64 => |a, b, keys| block(a, b, keys, |a, b| rank64(a).abs_diff(rank64(b)), whole),
            DType::F32 => {
                |a, b, keys| block(a, b, keys, |a, b| apart(rank32(a as f32), rank32(b as f32)), narrow)
            }
            DType::F16 => |a, b, keys| {
                let rank = |x: f64| rank16(f16::from_f32(x as f32).to_bits());
                block(a, b, keys, |a, b| apart(rank(a), rank(b)), narrow)
            },
            DType::BF16 => |a, b, keys| block(a, b, keys, |a, b| apart(rank_bf16(a), rank_bf16(b)), narrow),
            _ => |a, b, keys| block(a, b, keys, |a, b| (a - b).abs() as u64, whole),
        };
        Self { block }
    }

    /// The greatest distance of a block's pairs. Leaves the distances' keys in `keys`.
    pub(crate) fn all(self, ours: &[f64], reference: &[f64], keys: &mut Vec<u16>) -> u64 {
        (self.block)(ours, reference, keys)
    }
}

fn block<D: Copy + Ord + Default + Into<u64>>(
    ours: &[f64],
    reference: &[f64],
    keys: &mut Vec<u16>,
    distance: impl Fn(f64, f64) -> D,
    key: impl Fn(D) -> u16,
) -> u64 {
    keys.clear();
    let mut most = D::default();
    keys.extend(ours.iter().zip(reference).map(|(&a, &b)| {
        let apart = distance(a, b);
        most = most.max(apart);
        key(apart)
    }));
    most.into()
}

/// The histogram key of a distance: its 24 highest bits, which an `f32` holds exactly.
fn narrow(distance: u32) -> u16 {
    let high = if distance >> 24 == 0 { distance } else { distance & !0xff };
    // Below 2^31 the signed conversion is the same number, and one that vectors have.
    let float = if high >> 31 == 0 { high as i32 as f32 } else { high as f32 };
    histogram::key(float)
}

fn whole(distance: u64) -> u16 {
    let spare = 40_u32.saturating_sub(distance.leading_zeros());
    histogram::key((distance >> spare << spare) as f32)
}

fn apart(a: i32, b: i32) -> u32 {
    a.abs_diff(b)
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

/// The nearest bf16, ties to even: an `f32` without its lower half.
fn rank_bf16(value: f64) -> i32 {
    let bits = (value as f32).to_bits();
    let rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    rank16(rounded as u16)
}

fn rank16(bits: u16) -> i32 {
    let magnitude = i32::from(bits & (u16::MAX >> 1));
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(dtype: DType) -> impl Fn(f64, f64) -> u64 {
        move |a, b| Distances::of(dtype).all(&[a], &[b], &mut Vec::new())
    }

    #[test]
    fn bf16_rounds_as_half_does() {
        for value in [1.0, 1.003_906_25, 1.011_718_75, -3.3e38, 1e-40, -0.0, 65_504.1] {
            assert_eq!(rank_bf16(value), rank16(half::bf16::from_f32(value as f32).to_bits()), "{value}");
        }
    }

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
