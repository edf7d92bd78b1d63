//! What architectures are built from. Each block adds its ops under the builder's path, and takes
//! its parameters there.

mod activation;
pub(crate) mod attention;
pub(crate) mod embedding;
pub(crate) mod encoder_attention;
pub(crate) mod experts;
pub(crate) mod linear;
pub(crate) mod mlp;
pub(crate) mod norm;
pub(crate) mod pooling;
pub(crate) mod residual;
pub(crate) mod rope;
pub(crate) mod rotary;
pub(crate) mod self_attention;

pub(crate) use activation::Activation;
use porter_ir::{AttributeValue, Builder, DType, Result, Value};

/// `x` as `dtype`; nothing is added where it has it already.
pub(crate) fn cast(b: &Builder, x: Value, dtype: DType) -> Result<Value> {
    if b.dtype(x) == dtype { Ok(x) } else { b.convert(x, dtype) }
}

/// The sizes of `x`, which must have `N` dimensions.
pub(crate) fn dims<const N: usize>(b: &Builder, x: Value) -> Result<[usize; N]> {
    let shape = b.shape(x);
    shape.to_vec().try_into().map_err(|_| b.error("shape", &[x], format!("{N} dimensions are expected")))
}

/// The size of the last dimension; 1 for a scalar.
pub(crate) fn last(b: &Builder, x: Value) -> usize {
    b.shape(x).last().copied().unwrap_or(1)
}

/// A vector repeated along all but the last dimension of `like`.
pub(crate) fn broadcast_last(b: &Builder, x: Value, like: Value) -> Result<Value> {
    let shape = b.shape(like);
    b.broadcast_in_dim(x, shape.clone(), &[shape.rank().saturating_sub(1)])
}

/// `x`, which lacks the last dimension of `like`, repeated along it.
pub(crate) fn broadcast_leading(b: &Builder, x: Value, like: Value) -> Result<Value> {
    let shape = b.shape(like);
    let leading: Vec<usize> = (0..shape.rank().saturating_sub(1)).collect();
    b.broadcast_in_dim(x, shape, &leading)
}

/// The mean over the last dimension, which goes away.
pub(crate) fn mean_last(b: &Builder, x: Value) -> Result<Value> {
    let dim = b.shape(x).rank().saturating_sub(1);
    b.multiply_scalar(b.reduce_sum(x, &[dim])?, 1.0 / last(b, x) as f64)
}

/// Softmax over the last dimension of `x` (`f32`).
pub(crate) fn softmax(b: &Builder, x: Value) -> Result<Value> {
    let last = b.shape(x).rank().saturating_sub(1);
    let largest = b.reduce_max(x, &[last])?;
    let exponentials = b.exponential(b.subtract(x, broadcast_leading(b, largest, x)?)?)?;
    let sums = b.reduce_sum(exponentials, &[last])?;
    b.divide(exponentials, broadcast_leading(b, sums, x)?)
}

/// A call of `name` with `operands` that means what `body` builds from them, so that rewrites and
/// references see it whole.
pub(crate) fn composite<const N: usize>(
    b: &Builder,
    name: &str,
    attributes: &[(&str, f64)],
    operands: [Value; N],
    body: impl FnOnce(&Builder, [Value; N]) -> Result<Value>,
) -> Result<Value> {
    let attributes =
        attributes.iter().map(|&(key, value)| (key.to_owned(), AttributeValue::F64(value))).collect();
    let results = b.composite(name, attributes, &operands, |b, arguments| {
        let arguments = arguments.try_into();
        let arguments =
            arguments.map_err(|_| b.error("composite", &operands, "the operands lost their number"))?;
        Ok(vec![body(b, arguments)?])
    })?;
    results.first().copied().ok_or_else(|| b.error("composite", &operands, "it has no result"))
}
