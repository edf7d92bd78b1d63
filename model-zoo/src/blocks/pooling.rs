//! One vector for a whole text.

use porter_ir::{Builder, DType, Result, Value};

use super::{broadcast_leading, cast};

/// The mean of the tokens of `x` (`[batch, tokens, features]`) that `attention_mask`
/// (`i32[batch, tokens]`) keeps, scaled to length 1: `f32[batch, features]`.
///
/// The `Pooling` (mean) and `Normalize` modules of sentence-transformers, with their smallest
/// divisors: 1e-9 tokens, and a length of 1e-12.
pub(crate) fn mean_normalized(b: &Builder, x: Value, attention_mask: Value) -> Result<Value> {
    let (x, mask) = (cast(b, x, DType::F32)?, cast(b, attention_mask, DType::F32)?);
    let sum = b.reduce_sum(b.multiply(x, broadcast_leading(b, mask, x)?)?, &[1])?;
    let count = b.reduce_sum(mask, &[1])?;
    let count = b.maximum(count, b.full_like(count, 1e-9)?)?;
    let mean = b.divide(sum, broadcast_leading(b, count, sum)?)?;
    let length = b.sqrt(b.reduce_sum(b.multiply(mean, mean)?, &[1])?)?;
    let length = b.maximum(length, b.full_like(length, 1e-12)?)?;
    b.divide(mean, broadcast_leading(b, length, mean)?)
}
