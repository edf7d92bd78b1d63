//! What is lifted to: names, operands and decompositions as the model zoo writes them
//! (`model-zoo/src/blocks`; a test compares them), and the general attention that the zoo has no need of.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, SQRT_2};

use porter_ir::{AttributeValue, Builder, DType, DotDimensions, Result, Value};

/// `√(2/π)`
pub(crate) const GELU_SLOPE: f64 = SQRT_2 * FRAC_2_SQRT_PI / 2.0;
/// The factor of the cube in the tanh approximation of GELU.
pub(crate) const GELU_CUBE: f64 = 0.044_715;
/// The slope of the sigmoid in `quick_gelu`.
pub(crate) const QUICK_SLOPE: f64 = 1.702;

/// The score of a key that must not be seen.
const MASKED: f64 = f32::MIN as f64;

/// `x` as `dtype`; nothing is added where it has it already.
pub(crate) fn cast(b: &Builder, x: Value, dtype: DType) -> Result<Value> {
    if b.dtype(x) == dtype { Ok(x) } else { b.convert(x, dtype) }
}

/// A call of `name` with `operands` that means what `body` builds from them.
pub(crate) fn composite<const N: usize>(
    b: &Builder,
    name: &str,
    attributes: Vec<(String, AttributeValue)>,
    operands: [Value; N],
    body: impl FnOnce(&Builder, [Value; N]) -> Result<Value>,
) -> Result<Value> {
    let lost = |b: &Builder| b.error("composite", &operands, "the operands lost their number");
    let results = b.composite(name, attributes, &operands, |b, arguments| {
        let arguments = arguments.try_into().map_err(|_| lost(b))?;
        Ok(vec![body(b, arguments)?])
    })?;
    results.first().copied().ok_or_else(|| lost(b))
}

fn number(name: &str, value: f64) -> (String, AttributeValue) {
    (name.to_owned(), AttributeValue::F64(value))
}

/// `weight · x / √(mean(x²) + epsilon)` over the last dimension.
pub(crate) fn rms_norm(b: &Builder, x: Value, weight: Value, epsilon: f64) -> Result<Value> {
    let dtype = b.dtype(x);
    composite(b, "porter.rms_norm", vec![number("epsilon", epsilon)], [x, weight], |b, [x, weight]| {
        let x = cast(b, x, DType::F32)?;
        let variance = mean_last(b, b.multiply(x, x)?)?;
        let x = scale_rows(b, x, b.rsqrt(b.add_scalar(variance, epsilon)?)?)?;
        cast(b, b.multiply(broadcast_last(b, weight, x)?, x)?, dtype)
    })
}

/// `weight · (x - mean(x)) / √(var(x) + epsilon) + bias` over the last dimension.
pub(crate) fn layer_norm(b: &Builder, operands: [Value; 3], epsilon: f64) -> Result<Value> {
    let dtype = b.dtype(operands[0]);
    composite(b, "porter.layer_norm", vec![number("epsilon", epsilon)], operands, |b, [x, weight, bias]| {
        let x = cast(b, x, DType::F32)?;
        let centred = b.subtract(x, broadcast_leading(b, mean_last(b, x)?, x)?)?;
        let variance = mean_last(b, b.multiply(centred, centred)?)?;
        let x = scale_rows(b, centred, b.rsqrt(b.add_scalar(variance, epsilon)?)?)?;
        let scaled = b.multiply(x, broadcast_last(b, weight, x)?)?;
        cast(b, b.add(scaled, broadcast_last(b, bias, x)?)?, dtype)
    })
}

/// An element-wise activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    Gelu,
    GeluTanh,
    QuickGelu,
}

impl Activation {
    pub(crate) fn apply(self, b: &Builder, x: Value) -> Result<Value> {
        type Apply = fn(&Builder, Value) -> Result<Value>;
        let (name, f): (&str, Apply) = match self {
            Self::Silu => ("porter.silu", |b, x| b.multiply(x, b.logistic(x)?)),
            Self::Gelu => ("porter.gelu", gelu),
            Self::GeluTanh => ("porter.gelu_tanh", gelu_tanh),
            Self::QuickGelu => {
                ("porter.quick_gelu", |b, x| b.multiply(x, b.logistic(b.multiply_scalar(x, QUICK_SLOPE)?)?))
            }
        };
        let dtype = b.dtype(x);
        composite(b, name, Vec::new(), [x], |b, [x]| cast(b, f(b, cast(b, x, DType::F32)?)?, dtype))
    }
}

fn gelu(b: &Builder, x: Value) -> Result<Value> {
    let erf = b.erf(b.multiply_scalar(x, FRAC_1_SQRT_2)?)?;
    b.multiply(b.multiply_scalar(x, 0.5)?, b.add_scalar(erf, 1.0)?)
}

fn gelu_tanh(b: &Builder, x: Value) -> Result<Value> {
    let cube = b.multiply(x, b.multiply(x, x)?)?;
    let inner = b.add(x, b.multiply_scalar(cube, GELU_CUBE)?)?;
    let tanh = b.tanh(b.multiply_scalar(inner, GELU_SLOPE)?)?;
    b.multiply(b.multiply_scalar(x, 0.5)?, b.add_scalar(tanh, 1.0)?)
}

/// `x[batch, tokens, heads, width]` turned by the angles whose cosines and sines
/// (`f32[batch, tokens, width / 2]`) are given; number `i` of a head is paired with number `i + width / 2`.
pub(crate) fn rotary(b: &Builder, x: Value, cos: Value, sin: Value) -> Result<Value> {
    let half = b.shape(x).last().copied().unwrap_or(0) / 2;
    let dtype = b.dtype(x);
    composite(b, "porter.rotary", Vec::new(), [x, cos, sin], |b, [x, cos, sin]| {
        let x = cast(b, x, DType::F32)?;
        let (first, second) = (b.slice_dim(x, 3, 0, half)?, b.slice_dim(x, 3, half, 2 * half)?);
        let shape = b.shape(first);
        let cos = b.broadcast_in_dim(cos, shape.clone(), &[0, 1, 3])?;
        let sin = b.broadcast_in_dim(sin, shape, &[0, 1, 3])?;
        let real = b.subtract(b.multiply(first, cos)?, b.multiply(second, sin)?)?;
        let imaginary = b.add(b.multiply(second, cos)?, b.multiply(first, sin)?)?;
        cast(b, b.concatenate(&[real, imaginary], 3)?, dtype)
    })
}

/// What attention does between both products.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scores {
    /// The factor of `q · kᵀ`.
    pub(crate) scale: f64,
    /// `c` where scores are `c · tanh(scores / c)`.
    pub(crate) softcap: Option<f64>,
}

/// `softmax(q · kᵀ · scale) · v`, as the zoo's `attention`: `q[batch, tokens, heads, width]`,
/// `k` and `v[batch, kv_heads, slots, width]`, `mask: bool[batch, tokens, slots]`; result
/// `[batch, tokens, heads · width]`.
pub(crate) fn attention(b: &Builder, operands: [Value; 4], scale: f64) -> Result<Value> {
    let sizes = Sizes::of(b, operands)?;
    composite(b, "porter.attention", vec![number("scale", scale)], operands, |b, [q, k, v, mask]| {
        let scores = sizes.scores(b, q, k, scale)?;
        let mask = b.broadcast_in_dim(mask, b.shape(scores), &[0, 2, 4])?;
        let scores = b.select(mask, scores, b.full_like(scores, MASKED)?)?;
        sizes.mix(b, scores, v)
    })
}

/// `softmax(cap(q · kᵀ · scale) + bias) · v`: as [`attention`], with `bias[batch, heads, tokens, slots]`, whose
/// first two dimensions may be 1, in place of the mask.
pub(crate) fn biased_attention(b: &Builder, operands: [Value; 4], scores: Scores) -> Result<Value> {
    let sizes = Sizes::of(b, operands)?;
    let mut attributes = vec![number("scale", scores.scale)];
    attributes.extend(scores.softcap.map(|cap| number("softcap", cap)));
    composite(b, "porter.biased_attention", attributes, operands, |b, [q, k, v, bias]| {
        let mut scored = sizes.scores(b, q, k, scores.scale)?;
        if let Some(cap) = scores.softcap {
            scored = b.multiply_scalar(b.tanh(b.multiply_scalar(scored, 1.0 / cap)?)?, cap)?;
        }
        let scored = b.add(scored, sizes.bias(b, cast(b, bias, DType::F32)?)?)?;
        sizes.mix(b, scored, v)
    })
}

/// The sizes and types of an attention.
struct Sizes {
    batch: usize,
    tokens: usize,
    heads: usize,
    groups: usize,
    slots: usize,
    width: usize,
    dtype: DType,
    inner: DType,
}

impl Sizes {
    fn of(b: &Builder, [q, k, v, _]: [Value; 4]) -> Result<Self> {
        let (q_shape, k_shape, v_shape) = (b.shape(q), b.shape(k), b.shape(v));
        match (&*q_shape, &*k_shape, &*v_shape) {
            (&[batch, tokens, heads, _], &[_, groups, slots, _], &[_, _, _, width]) if groups > 0 => {
                let (dtype, inner) = (b.dtype(q), b.dtype(k));
                Ok(Self { batch, tokens, heads, groups, slots, width, dtype, inner })
            }
            _ => Err(b.error("attention", &[q, k, v], "queries, keys and values have four dimensions")),
        }
    }

    /// `f32[batch, groups, tokens, heads / groups, slots]`
    fn scores(&self, b: &Builder, q: Value, k: Value, scale: f64) -> Result<Value> {
        let width = b.shape(q).last().copied().unwrap_or(0);
        let grouped = [self.batch, self.tokens, self.groups, self.heads / self.groups, width];
        let q = b.reshape(cast(b, q, self.inner)?, grouped)?;
        b.multiply_scalar(b.dot_general(q, k, product([0, 2], 4, 3), DType::F32)?, scale)
    }

    /// A bias over heads, as the scores lie.
    fn bias(&self, b: &Builder, bias: Value) -> Result<Value> {
        let own = b.shape(bias);
        let heads = own.get(1).copied().unwrap_or(1);
        let per = self.heads / self.groups;
        let (groups, per) = if heads == 1 { (1, 1) } else { (self.groups, per) };
        let parts = [own.first().copied().unwrap_or(1), groups, per, self.tokens, self.slots];
        let whole = [self.batch, self.groups, self.tokens, self.heads / self.groups, self.slots];
        b.broadcast_in_dim(b.reshape(bias, parts)?, whole, &[0, 1, 3, 2, 4])
    }

    /// `softmax(scores) · v` as `[batch, tokens, heads · width]`.
    fn mix(&self, b: &Builder, scores: Value, v: Value) -> Result<Value> {
        let weights = cast(b, softmax(b, scores)?, self.inner)?;
        let mixed = b.dot_general(weights, v, product([0, 1], 4, 2), DType::F32)?;
        let mixed = b.transpose(mixed, &[0, 2, 1, 3, 4])?;
        cast(b, b.reshape(mixed, [self.batch, self.tokens, self.heads * self.width])?, self.dtype)
    }
}

fn product(lhs_batching: [usize; 2], lhs: usize, rhs: usize) -> DotDimensions {
    DotDimensions {
        lhs_batching: lhs_batching.to_vec(),
        rhs_batching: vec![0, 1],
        lhs_contracting: vec![lhs],
        rhs_contracting: vec![rhs],
    }
}

fn softmax(b: &Builder, x: Value) -> Result<Value> {
    let last = b.shape(x).rank().saturating_sub(1);
    let largest = b.reduce_max(x, &[last])?;
    let exponentials = b.exponential(b.subtract(x, broadcast_leading(b, largest, x)?)?)?;
    let sums = b.reduce_sum(exponentials, &[last])?;
    b.divide(exponentials, broadcast_leading(b, sums, x)?)
}

fn broadcast_last(b: &Builder, x: Value, like: Value) -> Result<Value> {
    let shape = b.shape(like);
    b.broadcast_in_dim(x, shape.clone(), &[shape.rank().saturating_sub(1)])
}

fn broadcast_leading(b: &Builder, x: Value, like: Value) -> Result<Value> {
    let shape = b.shape(like);
    let leading: Vec<usize> = (0..shape.rank().saturating_sub(1)).collect();
    b.broadcast_in_dim(x, shape, &leading)
}

fn mean_last(b: &Builder, x: Value) -> Result<Value> {
    let shape = b.shape(x);
    let size = shape.last().copied().unwrap_or(1);
    b.multiply_scalar(b.reduce_sum(x, &[shape.rank().saturating_sub(1)])?, 1.0 / size as f64)
}

fn scale_rows(b: &Builder, x: Value, factors: Value) -> Result<Value> {
    b.multiply(x, broadcast_leading(b, factors, x)?)
}

#[cfg(test)]
mod tests;
