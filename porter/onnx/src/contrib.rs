//! What the operators of ONNX Runtime (`com.microsoft`) share.

use porter_ir::{Builder, DType, Direction, TensorType, Value};

use crate::place::Places;
use crate::{
    context::{Cx, One, Out},
    error::{Fault, invalid, unsupported},
    help::{arange, sum},
    item, quantised,
    recognise::composites::{Scores, attention, biased_attention, layer_norm, rms_norm},
};

/// `(x - zero) · scale` of quantised input `x`, its scale and its zero point, each one number or one for each element
/// of dimension `axis`.
pub(crate) fn real(cx: &Cx<'_, '_>, [x, scale, zero]: [usize; 3], axis: Option<usize>) -> One {
    let centred = crate::ops::mat_mul_integer::centred(cx, cx.x(x)?, cx.opt(zero)?, axis)?;
    let shape = cx.dims(centred);
    let scale = over(cx, cx.cast(cx.x(scale)?, DType::F32)?, &shape, axis)?;
    Ok(cx.multiply(cx.cast(centred, DType::F32)?, scale)?)
}

/// A number, or a vector along `axis`, over `shape`.
pub(crate) fn over(cx: &Cx<'_, '_>, x: Value, shape: &[usize], axis: Option<usize>) -> One {
    match axis {
        _ if cx.shape(x).elements() == 1 => cx.spread(cx.reshaped(x, [])?, shape),
        Some(axis) if cx.rank(x) == 1 => crate::help::spread_axis(cx, x, shape, axis),
        _ => cx.spread(x, shape),
    }
}

/// `y` quantised by the scale and the zero point that are inputs, to the zero point's type, or to `dtype` where that is
/// left out.
pub(crate) fn narrowed(cx: &Cx<'_, '_>, y: Value, [scale, zero]: [usize; 2], dtype: DType) -> Out {
    let shape = cx.dims(y);
    let ratio = cx.divide(y, over(cx, cx.x(scale)?, &shape, None)?)?;
    if cx.opt(zero)?.is_some() {
        return quantised::requantised(cx, ratio, zero);
    }
    let Some((least, most)) = quantised::range(item::data_type(dtype)) else {
        return unsupported(format!("quantised to {dtype}"));
    };
    let whole = cx.round_nearest_even(ratio)?;
    let bounded = cx.with(cx.with(whole, least, Builder::maximum)?, most, Builder::minimum)?;
    Ok(vec![cx.cast(cx.cast(bounded, DType::I32)?, dtype)?.into()])
}

/// An activation by the name that fused operators give it.
pub(crate) fn activation(cx: &Cx<'_, '_>, name: &str, parameters: &[f64], x: Value) -> One {
    let parameter = |i: usize, default: f64| parameters.get(i).copied().unwrap_or(default);
    match name {
        "" => Ok(x),
        "Relu" => cx.with(x, 0.0, Builder::maximum),
        "Sigmoid" => Ok(cx.logistic(x)?),
        "Tanh" => Ok(cx.tanh(x)?),
        "LeakyRelu" => {
            let positive = cx.is(x, Direction::Ge, 0.0)?;
            Ok(cx.select(positive, x, cx.with(x, parameter(0, 0.01), Builder::multiply)?)?)
        }
        "Clip" => {
            let low = cx.with(x, parameter(0, f64::from(f32::MIN)), Builder::maximum)?;
            cx.with(low, parameter(1, f64::from(f32::MAX)), Builder::minimum)
        }
        "HardSigmoid" => {
            let line = cx.with(x, parameter(0, 0.2), Builder::multiply)?;
            let line = cx.with(line, parameter(1, 0.5), Builder::add)?;
            cx.with(cx.with(line, 0.0, Builder::maximum)?, 1.0, Builder::minimum)
        }
        other => unsupported(format!("the activation {other:?}")),
    }
}

/// Layer normalisation over the last dimension by vectors.
pub(crate) fn normed(cx: &Cx<'_, '_>, x: Value, weight: Value, bias: Option<Value>, epsilon: f64) -> One {
    let weight = cx.cast(weight, DType::F32)?;
    let bias = match bias {
        Some(bias) => cx.cast(bias, DType::F32)?,
        None => cx.full_like(weight, 0.0)?,
    };
    vectors(cx, x, &[weight, bias])?;
    Ok(layer_norm(&cx.builder, [x, weight, bias], epsilon)?)
}

/// RMS normalisation over the last dimension by a vector.
pub(crate) fn rms_normed(cx: &Cx<'_, '_>, x: Value, weight: Value, epsilon: f64) -> One {
    let weight = cx.cast(weight, DType::F32)?;
    vectors(cx, x, &[weight])?;
    Ok(rms_norm(&cx.builder, x, weight, epsilon)?)
}

fn vectors(cx: &Cx<'_, '_>, x: Value, vectors: &[Value]) -> Result<(), Fault> {
    let width = cx.dims(x).last().copied();
    let fits = |&v: &Value| cx.rank(v) == 1 && cx.dims(v).first().copied() == width;
    if vectors.iter().all(fits) {
        Ok(())
    } else {
        invalid(format!("a scale or bias is no vector of {width:?}"))
    }
}

/// `1 / √(mean(x²) + epsilon)` over the last dimension, kept at size 1.
pub(crate) fn inverse_rms(cx: &Cx<'_, '_>, x: Value, epsilon: f64) -> One {
    let x = cx.cast(x, DType::F32)?;
    let Some(last) = cx.rank(x).checked_sub(1) else { return invalid("a scalar has no last dimension") };
    let total = sum(cx, cx.multiply(x, x)?, &[last])?;
    let mean = cx.with(total, cx.dims(x).at(last)? as f64, Builder::divide)?;
    Ok(cx.rsqrt(cx.with(mean, epsilon, Builder::add)?)?)
}

/// Queries, keys and values of attention, and what is added to its scores.
pub(crate) struct Attend {
    /// `[batch, tokens, heads, width]`
    pub(crate) q: Value,
    /// `[batch, kv_heads, slots, width]`
    pub(crate) k: Value,
    /// As `k`.
    pub(crate) v: Value,
    /// The factor of scores; `1/√width` where it is `None`.
    pub(crate) scale: Option<f64>,
    /// `c` of `c · tanh(scores / c)`.
    pub(crate) softcap: Option<f64>,
    /// Terms that broadcast to `[batch, heads, tokens, slots]`.
    pub(crate) terms: Vec<Value>,
}

impl Attend {
    /// `[batch, tokens, heads · width]`
    pub(crate) fn build(self, cx: &Cx<'_, '_>) -> One {
        let (&[batch, tokens, heads, width], &[_, groups, slots, _]) =
            (&cx.dims(self.q)[..], &cx.dims(self.k)[..])
        else {
            return invalid("queries and keys have four dimensions");
        };
        if groups == 0 || !heads.is_multiple_of(groups) {
            return invalid(format!("{heads} heads of queries over {groups} of keys"));
        }
        let scale = self.scale.filter(|&s| s != 0.0).unwrap_or_else(|| 1.0 / (width as f64).sqrt());
        let (q, k, v) = (self.q, self.k, self.v);
        if self.terms.is_empty() && self.softcap.is_none() {
            let all = cx.full(TensorType::new(DType::Bool, [batch, tokens, slots]), 1.0)?;
            return Ok(attention(&cx.builder, [q, k, v, all], scale)?);
        }
        let mut bias = cx.full(TensorType::new(DType::F32, [1, 1, tokens, slots]), 0.0)?;
        for term in self.terms {
            bias = cx.pair(bias, cx.cast(term, DType::F32)?, Builder::add)?;
        }
        let shape = cx.dims(bias);
        let fits = |i: usize, size: usize| shape.get(i).is_some_and(|&d| d == 1 || d == size);
        if shape.len() != 4 || !fits(0, batch) || !fits(1, heads) || shape.part(2..)? != [tokens, slots] {
            return invalid(format!(
                "a bias of {shape:?} for {heads} heads, {tokens} tokens and {slots} slots"
            ));
        }
        Ok(biased_attention(&cx.builder, [q, k, v, bias], Scores { scale, softcap: self.softcap })?)
    }
}

/// `[batch, time, heads · width]` as `[batch, time, heads, width]`.
pub(crate) fn split_heads(cx: &Cx<'_, '_>, x: Value, heads: usize) -> One {
    match cx.dims(x)[..] {
        [batch, time, hidden] if heads > 0 && hidden % heads == 0 => {
            cx.reshaped(x, [batch, time, heads, hidden / heads])
        }
        ref other => invalid(format!("{heads} heads of {other:?}")),
    }
}

/// An attribute that counts.
pub(crate) fn count(cx: &Cx<'_, '_>, name: &'static str) -> Result<usize, Fault> {
    match usize::try_from(cx.int(name, 0)) {
        Ok(n) if (1..1 << 31).contains(&n) => Ok(n),
        _ => invalid(format!("{name} {}, expected 1 to {}", cx.int(name, 0), i32::MAX)),
    }
}

/// `0` where `seen`, `closed` elsewhere, as `f32`.
pub(crate) fn closing(cx: &Cx<'_, '_>, seen: Value, closed: f64) -> One {
    let ty = TensorType::new(DType::F32, cx.dims(seen));
    Ok(cx.select(seen, cx.full(ty.clone(), 0.0)?, cx.full(ty, closed)?)?)
}

/// What hides the slots after each token: `[1, 1, tokens, slots]`, the tokens being the last of the slots.
pub(crate) fn causal(cx: &Cx<'_, '_>, tokens: usize, slots: usize) -> One {
    let shape = [1, 1, tokens, slots];
    let before =
        slots.checked_sub(tokens).ok_or_else(|| Fault::Invalid("more tokens than slots".to_owned()))?;
    let own = cx.with(arange(cx, DType::I64, &shape, 2)?, before as f64, Builder::add)?;
    let seen = cx.compare(arange(cx, DType::I64, &shape, 3)?, own, Direction::Le)?;
    closing(cx, seen, f64::from(f32::MIN))
}

/// What a mask of keys hides: `[batch, slots]`, `[batch, tokens, slots]` or `[batch, 1, tokens, slots]` with 0 for what
/// is hidden, or `[batch]` lengths.
pub(crate) fn hidden(cx: &Cx<'_, '_>, mask: Value, batch: usize, slots: usize, closed: f64) -> One {
    let mask = cx.cast(mask, DType::I32)?;
    let shape = cx.dims(mask);
    let seen = match shape[..] {
        [n] if n == batch => {
            let lengths = cx.spread(cx.reshaped(mask, [batch, 1])?, &[batch, slots])?;
            let seen = cx.compare(arange(cx, DType::I32, &[batch, slots], 1)?, lengths, Direction::Lt)?;
            cx.reshaped(seen, [batch, 1, 1, slots])?
        }
        [n, s] if n == batch && s == slots => {
            cx.is(cx.reshaped(mask, [batch, 1, 1, slots])?, Direction::Ne, 0.0)?
        }
        [n, tokens, s] if n == batch && s == slots => {
            cx.is(cx.reshaped(mask, [batch, 1, tokens, slots])?, Direction::Ne, 0.0)?
        }
        _ => return unsupported(format!("a mask of {shape:?} over {batch} sequences of {slots} slots")),
    };
    closing(cx, seen, closed)
}
