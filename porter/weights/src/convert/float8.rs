//! The 8-bit floats E4M3FN (no infinity) and E5M2, with the rounding of `ml_dtypes`: too large is
//! NaN in the first, infinite in the second (<https://github.com/jax-ml/ml_dtypes>).

/// Exact.
pub(crate) fn f8_e4m3fn_to_f32(x: u8) -> f32 {
    if x & 0x7F == 0x7F {
        return f32::from_bits(0x7FC0_0000 | u32::from(x & 0x80) << 24);
    }
    widen::<3, 7>(x)
}

/// Exact.
pub(crate) fn f8_e5m2_to_f32(x: u8) -> f32 {
    // E5M2 is the upper half of an IEEE half.
    super::f16_to_f32(u16::from(x) << 8)
}

/// Rounded to nearest, ties to even; 465 and more, infinity and NaN are NaN.
pub(crate) fn f32_to_f8_e4m3fn(x: f32) -> u8 {
    let magnitude = if x.is_finite() { narrow::<3, 7>(x).min(0x7F) } else { 0x7F };
    sign(x) | magnitude as u8
}

/// Rounded to nearest, ties to even; 61440 and more are infinite.
pub(crate) fn f32_to_f8_e5m2(x: f32) -> u8 {
    let magnitude = if x.is_nan() { 0x7E } else { narrow::<2, 15>(x).min(0x7C) };
    sign(x) | magnitude as u8
}

fn sign(x: f32) -> u8 {
    (x.to_bits() >> 24 & 0x80) as u8
}

/// A finite code of `MANTISSA` mantissa bits and exponent bias `BIAS`.
fn widen<const MANTISSA: u32, const BIAS: u32>(x: u8) -> f32 {
    let rebias = f32::from_bits((127 + 127 - BIAS) << 23);
    let magnitude = f32::from_bits(u32::from(x & 0x7F) << (23 - MANTISSA)) * rebias;
    if x & 0x80 == 0 { magnitude } else { -magnitude }
}

/// The code of `|x|`, past the largest finite code if it is too large.
fn narrow<const MANTISSA: u32, const BIAS: u32>(x: f32) -> u32 {
    let bits = x.to_bits() & 0x7FFF_FFFF;
    let least_normal = (128 - BIAS) << 23;
    if bits >= least_normal {
        return round(bits, 23 - MANTISSA) - ((127 - BIAS) << MANTISSA);
    }
    // Subnormal: the code counts units of 2^(1 - BIAS - MANTISSA).
    let exponent = (bits >> 23).max(1);
    let implicit = u32::from(bits >> 23 != 0) << 23;
    let shift = 23 - MANTISSA + (128 - BIAS) - exponent;
    round(bits & 0x007F_FFFF | implicit, shift.min(31))
}

/// `bits >> shift`, rounded to nearest, ties to even.
fn round(bits: u32, shift: u32) -> u32 {
    let kept = bits >> shift;
    let lost = bits & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    kept + u32::from(lost > half || (lost == half && kept & 1 == 1))
}
