//! `reduce_precision`: floats as if held with fewer bits.

use porter_ir::{DType, float, ops::ReducePrecision};

/// `x`, of type `dtype`, with fewer exponent and mantissa bits: rounded to the nearest, ties to even; past
/// the largest exponent infinite, below the least normal one zero.
pub(super) fn reduce(op: &ReducePrecision, dtype: DType, x: f64) -> f64 {
    let (exponent_bits, mantissa_bits) = match dtype {
        DType::F16 => (5, 10),
        DType::BF16 => (8, 7),
        DType::F32 => (8, 23),
        DType::F64 => (11, 52),
        DType::F8E4M3FN => (4, 3),
        DType::F8E5M2 => (5, 2),
        _ => (2, 1),
    };
    if !x.is_finite() {
        return x;
    }
    let Some(bits) = float::encode(dtype, x) else { return x };
    let sign = bits >> (exponent_bits + mantissa_bits) << (exponent_bits + mantissa_bits);
    let mut magnitude = bits ^ sign;
    if op.mantissa_bits < mantissa_bits {
        let cut = mantissa_bits - op.mantissa_bits;
        let last = magnitude >> cut & 1;
        magnitude = (magnitude + (1 << (cut - 1)) - 1 + last) >> cut << cut;
    }
    if op.exponent_bits < exponent_bits {
        let bias = (1_u64 << (exponent_bits - 1)) - 1;
        let reduced_bias = (1_u64 << (op.exponent_bits - 1)) - 1;
        let exponent = magnitude >> mantissa_bits;
        if exponent > bias + reduced_bias {
            return if sign == 0 { f64::INFINITY } else { f64::NEG_INFINITY };
        }
        if exponent <= bias - reduced_bias {
            magnitude = 0;
        }
    }
    float::decode(dtype, sign | magnitude).unwrap_or(x)
}
