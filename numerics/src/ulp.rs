//! Distances in units in the last place.

#![allow(
    clippy::inline_always,
    reason = "code is compiled anew for each set of vector instructions where it is inlined"
)]

use half::f16;
use porter_ir::DType;
use serde::Serialize;

use crate::{histogram, lanes::Number};

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

/// The type whose numbers are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ranked {
    Single,
    Bf16,
    Half,
    Double,
    /// An integer type.
    Whole,
}

impl Ranked {
    pub(crate) fn of(dtype: DType) -> Self {
        match dtype {
            DType::F64 => Self::Double,
            DType::F32 => Self::Single,
            DType::F16 => Self::Half,
            DType::BF16 => Self::Bf16,
            _ => Self::Whole,
        }
    }
}

/// The greatest distance of a block's pairs, which must be finite. Leaves the distances' keys in `keys`,
/// which is as long as the block.
///
/// The 16-bit types are reached through `f32`: `half` rounds `f64` without its lowest 32 bits.
#[inline(always)]
pub(crate) fn distances<T: Number>(ours: &[T], reference: &[T], ranked: Ranked, keys: &mut [u32]) -> u64 {
    match ranked {
        Ranked::Single => narrow(ours, reference, keys, |x| rank32(x.single())),
        Ranked::Bf16 => narrow(ours, reference, keys, |x| rank_bf16(x.single())),
        Ranked::Half => narrow(ours, reference, keys, |x| rank16(f16::from_f32(x.single()).to_bits())),
        Ranked::Double => wide(ours, reference, keys, |a, b| rank64(a).abs_diff(rank64(b))),
        Ranked::Whole => wide(ours, reference, keys, |a, b| (a - b).abs() as u64),
    }
}

#[inline(always)]
fn narrow<T: Number>(ours: &[T], reference: &[T], keys: &mut [u32], rank: impl Fn(T) -> i32) -> u64 {
    let mut most = 0;
    for ((a, b), key) in ours.iter().zip(reference).zip(keys.iter_mut()) {
        let apart = rank(*a).abs_diff(rank(*b));
        most = apart.max(most);
        *key = apart;
    }
    // Most blocks are near enough for one conversion.
    if most >> EXACT == 0 {
        for key in keys {
            *key = small(*key);
        }
    } else {
        for key in keys {
            *key = if *key >> EXACT == 0 { small(*key) } else { large(*key) };
        }
    }
    most.into()
}

#[inline(always)]
fn wide<T: Number>(ours: &[T], reference: &[T], keys: &mut [u32], distance: impl Fn(f64, f64) -> u64) -> u64 {
    let mut most = 0;
    for ((a, b), key) in ours.iter().zip(reference).zip(keys.iter_mut()) {
        let apart = distance(a.wide(), b.wide());
        most = apart.max(most);
        let spare = (u64::BITS - EXACT).saturating_sub(apart.leading_zeros());
        *key = histogram::key((apart >> spare << spare) as f32);
    }
    most
}

/// Bits of a whole number that an `f32` holds exactly.
const EXACT: u32 = 24;

/// The histogram key of a distance of up to 24 bits. The signed conversion is one that vectors have.
#[inline(always)]
fn small(distance: u32) -> u32 {
    histogram::key(distance as i32 as f32)
}

/// The histogram key of a greater one: its 24 highest bits count.
#[inline(always)]
fn large(distance: u32) -> u32 {
    let dropped = u32::BITS - EXACT;
    small(distance >> dropped) + histogram::octaves(dropped)
}

/// The place of a number among all numbers of its type: neighbours differ by one, both zeros are 0.
#[inline(always)]
fn rank64(value: f64) -> i64 {
    let magnitude = (value.to_bits() & (u64::MAX >> 1)) as i64;
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

#[inline(always)]
fn rank32(value: f32) -> i32 {
    signed(value.to_bits() as i32, i32::MAX)
}

/// The nearest bf16, ties to even: an `f32` without its lower half.
#[inline(always)]
fn rank_bf16(value: f32) -> i32 {
    let bits = value.to_bits();
    let rounded = (bits + 0x7fff + (bits >> 16 & 1)) as i32 >> 16;
    signed(rounded, i32::from(i16::MAX))
}

#[inline(always)]
fn rank16(bits: u16) -> i32 {
    signed(i32::from(bits as i16), i32::from(i16::MAX))
}

/// The magnitude under `mask`, negative where all of `bits` is.
#[inline(always)]
fn signed(bits: i32, mask: i32) -> i32 {
    let sign = bits >> 31;
    ((bits & mask) ^ sign) - sign
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(dtype: DType) -> impl Fn(f64, f64) -> u64 {
        move |a, b| distances(&[a], &[b], Ranked::of(dtype), &mut [0])
    }

    #[test]
    fn bf16_rounds_as_half_does() {
        for value in [1.0, 1.003_906_25, 1.011_718_75, -3.3e38, 1e-40, -0.0, 65_504.1].map(|x: f64| x as f32)
        {
            assert_eq!(rank_bf16(value), rank16(half::bf16::from_f32(value).to_bits()), "{value}");
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
