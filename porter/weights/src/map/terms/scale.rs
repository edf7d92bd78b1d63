//! A tensor times a number, in `f32`.

use porter_ir::{DType, TensorType};

/// Why `inputs` cannot be scaled by `factor`.
pub(crate) fn check(inputs: &[TensorType], factor: f32) -> Result<(), String> {
    if !factor.is_finite() || factor == 0.0 {
        return Err(format!("the factor is {factor}; a finite one that is not zero is expected"));
    }
    match inputs.iter().find(|input| !input.dtype.is_float() || input.dtype == DType::F64) {
        Some(input) => Err(format!("the input is {}; a float of at most 32 bits is expected", input.dtype)),
        None => Ok(()),
    }
}

/// The factor that brings back every `from` that was scaled by `factor`, once rounded to `from`.
///
/// For a power of two it is exact. Otherwise two products and the reciprocal are each off by at most
/// half a unit in the last place of `f32`, together less than 2 to the power of -22; a dtype of at
/// most 11 significant bits has no two neighbours that near.
pub(crate) fn inverse(from: DType, factor: f32) -> Option<f32> {
    let is_power_of_two = factor.is_normal() && factor.to_bits().trailing_zeros() >= 23;
    let back = 1.0 / factor;
    (back.is_normal() && (is_power_of_two || from != DType::F32)).then_some(back)
}

/// Multiplies little-endian `f32`s in place.
pub(crate) fn multiply(tile: &mut [u8], factor: f32) {
    for bytes in tile.as_chunks_mut().0 {
        *bytes = (f32::from_le_bytes(*bytes) * factor).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bf16_and_f16_comes_back() {
        for head_dim in [20_u16, 80, 96, 128, 192] {
            let factor = (1.0 / f64::from(head_dim).sqrt()) as f32;
            let back = inverse(DType::BF16, factor).unwrap();
            for bits in 0..=u16::MAX {
                let value = half::bf16::from_bits(bits);
                // Products below the smallest normal f32 lose bits.
                if (value.to_f32() * factor).is_normal() {
                    assert_eq!(half::bf16::from_f32(value.to_f32() * factor * back), value);
                }
                let value = half::f16::from_bits(bits);
                if !value.is_nan() {
                    assert_eq!(half::f16::from_f32(value.to_f32() * factor * back), value);
                }
            }
        }
    }

    #[test]
    fn f32_comes_back_from_powers_of_two_only() {
        assert_eq!(inverse(DType::F32, 0.125), Some(8.0));
        assert_eq!(inverse(DType::F32, 0.1), None);
        assert_eq!(inverse(DType::BF16, 0.1), Some(10.0));
        assert_eq!(inverse(DType::BF16, f32::MAX), None);
    }

    #[test]
    fn what_cannot_be_scaled() {
        let input = |dtype| [TensorType::new(dtype, [2])];
        assert!(check(&input(DType::BF16), 0.5).is_ok());
        assert!(check(&input(DType::F64), 0.5).is_err());
        assert!(check(&input(DType::I8), 0.5).is_err());
        assert!(check(&input(DType::F32), f32::NAN).is_err());
        assert!(check(&input(DType::F32), 0.0).is_err());
    }
}
