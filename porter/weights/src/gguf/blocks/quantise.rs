//! What the quantisers share: the scale of a block, and the nearest code of a number.
//!
//! `quants.py` computes in `f32`, and so does this, in the same order.

use super::Block;

/// A block type that numbers are written as.
pub(super) trait Quantise<const BYTES: usize, const ELEMENTS: usize>: Block<BYTES, ELEMENTS> {
    /// The block nearest to the numbers. A NaN among them makes the scale NaN, and one whose scale is
    /// larger than an f16 makes it infinite.
    fn quantise(numbers: &[f32; ELEMENTS], block: &mut [u8; BYTES]);
}

/// Codes around zero: `scale` is such that the number of the largest magnitude, `-half` times it, is
/// exact. Codes are from 0, for `-half`, to `2 * half - 1`.
pub(super) fn around_zero(numbers: &[f32], half: f32) -> (f32, impl Fn(f32) -> u8) {
    let mut extreme = numbers.first().copied().unwrap_or(0.0);
    for &x in numbers {
        if x.is_nan() || x.abs() > extreme.abs() {
            extreme = x;
        }
    }
    let scale = extreme / -half;
    let inverse = inverse(scale);
    (scale, move |x| (x * inverse + (half + 0.5)).clamp(0.0, 2.0 * half - 1.0) as u8)
}

/// Codes from the least number, 0, to the largest, `most`: the scale, the least number, the code of a
/// number.
pub(super) fn from_least(numbers: &[f32], most: f32) -> (f32, f32, impl Fn(f32) -> u8) {
    let larger = |a: f32, b: f32| if b.is_nan() || b > a { b } else { a };
    let smaller = |a: f32, b: f32| if b.is_nan() || b < a { b } else { a };
    let largest = numbers.iter().copied().fold(f32::NEG_INFINITY, larger);
    let least = numbers.iter().copied().fold(f32::INFINITY, smaller);
    let scale = (largest - least) / most;
    let inverse = inverse(scale);
    (scale, least, move |x| ((x - least) * inverse + 0.5).clamp(0.0, most) as u8)
}

pub(super) fn inverse(scale: f32) -> f32 {
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}
