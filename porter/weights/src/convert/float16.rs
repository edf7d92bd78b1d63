//! bfloat16 and IEEE half precision, without branches that stop a loop from vectorising.

/// Exact.
pub(crate) fn bf16_to_f32(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// Rounded to nearest, ties to even; a NaN stays a (quiet) NaN.
pub(crate) fn f32_to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = (bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16) as u16;
    if x.is_nan() { (bits >> 16) as u16 | 0x0040 } else { rounded }
}

/// Exact.
pub(crate) fn f16_to_f32(x: u16) -> f32 {
    // 2^112 rebiases the exponent from 15 to 127, and makes subnormals normal.
    const REBIAS: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = u32::from(x & 0x7FFF) << 13;
    let finite = (f32::from_bits(magnitude) * REBIAS).to_bits();
    let special = magnitude | 0x7F80_0000;
    let bits = if x & 0x7C00 == 0x7C00 { special } else { finite };
    f32::from_bits(bits | u32::from(x & 0x8000) << 16)
}

/// Rounded to nearest, ties to even; too large is infinite; a NaN stays a (quiet) NaN.
pub(crate) fn f32_to_f16(x: f32) -> u16 {
    let bits = x.to_bits();
    let magnitude = bits & 0x7FFF_FFFF;
    let sign = (bits >> 16 & 0x8000) as u16;
    let value = if magnitude > 0x7F80_0000 {
        0x7E00 | (magnitude >> 13 & 0x03FF) as u16
    } else if magnitude >= 0x4780_0000 {
        0x7C00
    } else if magnitude < 0x3880_0000 {
        subnormal_f16(magnitude)
    } else {
        // Rebias the exponent from 127 to 15, then round away 13 bits.
        let rebiased = magnitude - (112 << 23);
        ((rebiased + 0x0FFF + (rebiased >> 13 & 1)) >> 13) as u16
    };
    sign | value
}

/// Below 2^-14: adding 0.5 puts the subnormal's units at the end of the mantissa, and rounds.
fn subnormal_f16(magnitude: u32) -> u16 {
    let shifted = f32::from_bits(magnitude) + 0.5;
    (shifted.to_bits() - 0.5_f32.to_bits()) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_16_bit_float_decodes_as_in_the_half_crate_and_comes_back() {
        for code in 0..=u16::MAX {
            let (bf16, f16) = (half::bf16::from_bits(code), half::f16::from_bits(code));
            if bf16.is_nan() {
                assert!(bf16_to_f32(code).is_nan());
                assert!(bf16_to_f32(f32_to_bf16(bf16_to_f32(code))).is_nan());
            } else {
                assert_eq!(bf16_to_f32(code).to_bits(), bf16.to_f32().to_bits());
                assert_eq!(f32_to_bf16(bf16_to_f32(code)), code);
            }
            if f16.is_nan() {
                assert!(f16_to_f32(code).is_nan());
                assert!(f16_to_f32(f32_to_f16(f16_to_f32(code))).is_nan());
            } else {
                assert_eq!(f16_to_f32(code).to_bits(), f16.to_f32().to_bits());
                assert_eq!(f32_to_f16(f16_to_f32(code)), code);
            }
        }
    }

    /// Every float around each 16-bit float and each midpoint between two of them.
    fn near_ties(decode: fn(u16) -> f32) -> impl Iterator<Item = f32> {
        (0..=u16::MAX).flat_map(move |code| {
            let (low, high) = (decode(code), decode(code.wrapping_add(1)));
            let middle = f64::midpoint(low.into(), high.into()) as f32;
            [low, middle].into_iter().flat_map(|x| [x.next_down(), x, x.next_up()])
        })
    }

    #[test]
    fn rounding_is_that_of_the_half_crate_at_and_around_every_tie() {
        for x in near_ties(bf16_to_f32).chain(near_ties(f16_to_f32)).filter(|x| !x.is_nan()) {
            assert_eq!(f32_to_bf16(x), half::bf16::from_f32(x).to_bits(), "{x:e} as bf16");
            assert_eq!(f32_to_f16(x), half::f16::from_f32(x).to_bits(), "{x:e} as f16");
        }
    }
}
