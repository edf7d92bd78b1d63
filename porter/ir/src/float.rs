//! Floats of any width as bit patterns, exactly: encoding rounds once, to the nearest, ties to even.

use crate::DType;

/// Which bit patterns with the largest exponent are no numbers.
#[derive(Clone, Copy, PartialEq)]
enum Specials {
    /// Infinity, and NaN above it.
    InfinityAndNan,
    /// The largest pattern alone, which is NaN.
    NanOnly,
    /// None.
    Nothing,
}

/// The layout of a binary float below its sign bit.
#[derive(Clone, Copy)]
struct Format {
    exponent_bits: u32,
    mantissa_bits: u32,
    specials: Specials,
}

impl Format {
    fn of(dtype: DType) -> Option<Self> {
        let (exponent_bits, mantissa_bits, specials) = match dtype {
            DType::F4E2M1FN => (2, 1, Specials::Nothing),
            DType::F8E4M3FN => (4, 3, Specials::NanOnly),
            DType::F8E5M2 => (5, 2, Specials::InfinityAndNan),
            DType::BF16 => (8, 7, Specials::InfinityAndNan),
            DType::F16 => (5, 10, Specials::InfinityAndNan),
            DType::F32 => (8, 23, Specials::InfinityAndNan),
            DType::F64 => (11, 52, Specials::InfinityAndNan),
            _ => return None,
        };
        Some(Self { exponent_bits, mantissa_bits, specials })
    }

    fn bias(self) -> i64 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    fn sign_bit(self) -> u64 {
        1 << (self.exponent_bits + self.mantissa_bits)
    }

    /// The pattern with every exponent bit set and no mantissa bit.
    fn top_exponent(self) -> u64 {
        ((1 << self.exponent_bits) - 1) << self.mantissa_bits
    }

    fn largest_finite(self) -> u64 {
        match self.specials {
            Specials::InfinityAndNan => self.top_exponent() - 1,
            Specials::NanOnly => self.sign_bit() - 2,
            Specials::Nothing => self.sign_bit() - 1,
        }
    }
}

/// The bits of `value` as `dtype`, or `None` where `dtype` is no float.
///
/// What does not fit is treated as `ml_dtypes` treats it: past the largest finite value f8E5M2, bf16,
/// f16 and f32 give infinity, f8E4M3FN gives NaN, and f4E2M1FN, which has neither, its largest value;
/// NaN becomes a quiet NaN, and negative zero in f4E2M1FN.
pub fn encode(dtype: DType, value: f64) -> Option<u64> {
    let format = Format::of(dtype)?;
    if dtype == DType::F64 {
        return Some(value.to_bits());
    }
    let sign = if value.is_sign_negative() { format.sign_bit() } else { 0 };
    if value.is_nan() {
        return Some(match format.specials {
            Specials::InfinityAndNan => sign | format.top_exponent() | (1 << (format.mantissa_bits - 1)),
            Specials::NanOnly => sign | (format.sign_bit() - 1),
            Specials::Nothing => format.sign_bit(),
        });
    }
    let magnitude = encode_magnitude(format, value.abs());
    if magnitude <= format.largest_finite() {
        return Some(sign | magnitude);
    }
    Some(match format.specials {
        Specials::InfinityAndNan => sign | format.top_exponent(),
        Specials::NanOnly => sign | (format.sign_bit() - 1),
        Specials::Nothing => sign | format.largest_finite(),
    })
}

/// The pattern of a magnitude as if exponents had no end.
fn encode_magnitude(format: Format, magnitude: f64) -> u64 {
    if magnitude.is_infinite() {
        return u64::MAX;
    }
    let smallest_exponent = 1 - format.bias();
    let exponent = ((magnitude.to_bits() >> 52) as i64 - 1023).max(smallest_exponent);
    // Scaling by a power of two is exact: no format here reaches below f64's normal range.
    let units = magnitude * power_of_two(i64::from(format.mantissa_bits) - exponent);
    let units = units.round_ties_even() as u64;
    // A subnormal has exponent field 0 and no implicit bit, a normal one both; a carry out of the
    // mantissa lands in the exponent by itself.
    (((exponent - smallest_exponent) as u64) << format.mantissa_bits) + units
}

/// The value of a bit pattern of `dtype`, or `None` where `dtype` is no float.
pub fn decode(dtype: DType, bits: u64) -> Option<f64> {
    let format = Format::of(dtype)?;
    if dtype == DType::F64 {
        return Some(f64::from_bits(bits));
    }
    let magnitude = bits & (format.sign_bit() - 1);
    let value = if magnitude <= format.largest_finite() {
        let field = (magnitude >> format.mantissa_bits) as i64;
        let implicit = if field == 0 { 0 } else { 1 << format.mantissa_bits };
        let units = (magnitude & ((1 << format.mantissa_bits) - 1)) | implicit;
        units as f64 * power_of_two(field.max(1) - format.bias() - i64::from(format.mantissa_bits))
    } else if format.specials == Specials::InfinityAndNan && magnitude == format.top_exponent() {
        f64::INFINITY
    } else {
        f64::NAN
    };
    Some(if bits & format.sign_bit() == 0 { value } else { -value })
}

/// The least value of a float type: minus infinity where the type has it.
pub(crate) fn least(dtype: DType) -> f64 {
    match Format::of(dtype) {
        Some(format) if format.specials != Specials::InfinityAndNan => {
            -decode(dtype, format.largest_finite()).unwrap_or(f64::INFINITY)
        }
        _ => f64::NEG_INFINITY,
    }
}

/// 2 to the power of `exponent`, which is within f64's normal range.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    const NARROW: [DType; 5] = [DType::F4E2M1FN, DType::F8E4M3FN, DType::F8E5M2, DType::BF16, DType::F16];

    #[test]
    fn every_pattern_round_trips() {
        for dtype in NARROW {
            for bits in 0..1_u64 << dtype.bits() {
                let value = decode(dtype, bits).unwrap();
                let again = encode(dtype, value).unwrap();
                let same = again == bits || (value.is_nan() && decode(dtype, again).unwrap().is_nan());
                assert!(same, "{dtype} {bits:#x} is {value}, which encodes to {again:#x}");
            }
        }
    }

    #[test]
    fn halves_decode_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let ours = [decode(DType::F16, bits.into()).unwrap(), decode(DType::BF16, bits.into()).unwrap()];
            let theirs = [f16::from_bits(bits).to_f64(), bf16::from_bits(bits).to_f64()];
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!(ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(), "{bits:#x}");
            }
        }
    }

    #[test]
    fn midpoints_go_to_the_even_neighbour_and_anything_past_them_away() {
        for dtype in NARROW {
            let format = Format::of(dtype).unwrap();
            for bits in 0..format.largest_finite() {
                let (low, high) = (decode(dtype, bits).unwrap(), decode(dtype, bits + 1).unwrap());
                let middle = f64::midpoint(low, high);
                assert_eq!(encode(dtype, middle).unwrap(), bits + (bits & 1), "{dtype} {middle}");
                assert_eq!(encode(dtype, middle.next_up()).unwrap(), bits + 1, "{dtype} above {middle}");
                assert_eq!(encode(dtype, middle.next_down()).unwrap(), bits, "{dtype} below {middle}");
            }
        }
    }

    #[test]
    fn f32_is_what_the_language_gives() {
        for value in [0.0, -0.0, 0.1, 1e-45, 7e-46, 1e-300, 3.402_823_5e38, 3.5e38, f64::INFINITY, -1e300] {
            assert_eq!(encode(DType::F32, value).unwrap(), u64::from((value as f32).to_bits()), "{value}");
        }
    }

    /// Recorded from `ml_dtypes` 0.6.0 with `tests/golden/narrow_floats.py`.
    #[test]
    fn narrow_floats_agree_with_ml_dtypes() {
        let recorded = include_str!("../tests/golden/narrow_floats.csv");
        let mut rows = 0;
        for row in recorded.lines().skip(1) {
            let fields: Vec<&str> = row.split(',').collect();
            let dtype: DType = fields[0].parse().unwrap();
            let value = f64::from_bits(u64::from_str_radix(fields[1], 16).unwrap());
            let bits = u64::from_str_radix(fields[2], 16).unwrap();
            let ours = encode(dtype, value).unwrap();
            let nan = decode(dtype, bits).unwrap().is_nan() && decode(dtype, ours).unwrap().is_nan();
            assert!(ours == bits || nan, "{dtype} of {value}: {ours:#x}, ml_dtypes gives {bits:#x}");
            rows += 1;
        }
        assert!(rows > 500, "{rows} rows");
    }
}
