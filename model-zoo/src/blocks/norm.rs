//! Normalisation over the last dimension, with statistics in `f32`.

use porter_ir::{Builder, DType, Result, TensorType, Value};

use super::{broadcast_last, broadcast_leading, cast, composite, last, mean_last};
use crate::axes::{NORM, named};

/// `LlamaRMSNorm`: `weight · x / √(mean(x²) + epsilon)` ("Root Mean Square Layer Normalization",
/// arXiv:1910.07467).
///
/// The product with the weight is taken in `f32` and rounded once; transformers rounds to the type
/// of `x` before it too.
pub(crate) fn rms_norm(b: &Builder, x: Value, epsilon: f64) -> Result<Value> {
    let weight = named(b, b.weight("weight", TensorType::new(DType::F32, [last(b, x)]))?, &[NORM])?;
    let dtype = b.dtype(x);
    composite(b, "porter.rms_norm", &[("epsilon", epsilon)], [x, weight], |b, [x, weight]| {
        let x = cast(b, x, DType::F32)?;
        let variance = mean_last(b, b.multiply(x, x)?)?;
        let x = scale_rows(b, x, b.rsqrt(b.add_scalar(variance, epsilon)?)?)?;
        cast(b, b.multiply(broadcast_last(b, weight, x)?, x)?, dtype)
    })
}

/// `nn.LayerNorm`: `weight · (x - mean(x)) / √(var(x) + epsilon) + bias` (arXiv:1607.06450).
pub(crate) fn layer_norm(b: &Builder, x: Value, epsilon: f64) -> Result<Value> {
    let ty = TensorType::new(DType::F32, [last(b, x)]);
    let weight = named(b, b.weight("weight", ty.clone())?, &[NORM])?;
    let bias = named(b, b.weight("bias", ty)?, &[NORM])?;
    let dtype = b.dtype(x);
    let operands = [x, weight, bias];
    composite(b, "porter.layer_norm", &[("epsilon", epsilon)], operands, |b, [x, weight, bias]| {
        let x = cast(b, x, DType::F32)?;
        let centred = b.subtract(x, broadcast_leading(b, mean_last(b, x)?, x)?)?;
        let variance = mean_last(b, b.multiply(centred, centred)?)?;
        let x = scale_rows(b, centred, b.rsqrt(b.add_scalar(variance, epsilon)?)?)?;
        let scaled = b.multiply(x, broadcast_last(b, weight, x)?)?;
        cast(b, b.add(scaled, broadcast_last(b, bias, x)?)?, dtype)
    })
}

fn scale_rows(b: &Builder, x: Value, factors: Value) -> Result<Value> {
    b.multiply(x, broadcast_leading(b, factors, x)?)
}
