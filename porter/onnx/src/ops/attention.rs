//! `Attention`: scaled dot-product attention over heads, with masks and a cache.
//!
//! <https://onnx.ai/onnx/operators/onnx__Attention.html>
//! Versions: 23, 24.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (q3, k3, v3) = (cx.x(0)?, cx.x(1)?, cx.x(2)?);
    let flat = cx.rank(q3) == 3;
    let (q_heads, kv_heads) = (cx.int("q_num_heads", 0), cx.int("kv_num_heads", 0));
    let (q, mut k, mut v) = (split(cx, q3, q_heads)?, split(cx, k3, kv_heads)?, split(cx, v3, kv_heads)?);
    let dtype = cx.dtype(q);
    let mut past = 0;
    if let (Some(keys), Some(values)) = (cx.opt(4)?, cx.opt(5)?) {
        past = cx.dims(keys).get(2).copied().unwrap_or(0);
        (k, v) = (cx.concatenate(&[keys, k], 2)?, cx.concatenate(&[values, v], 2)?);
    }
    let (present_k, present_v) = (k, v);
    let (&[batch, heads, rows, width], &[_, groups, columns, _]) = (&cx.dims(q)[..], &cx.dims(k)[..]) else {
        return invalid("queries and keys have three or four dimensions");
    };
    let scale = cx.float_opt("scale").filter(|&s| s != 0.0).unwrap_or_else(|| 1.0 / (width as f64).sqrt());
    let root = scale.sqrt();
    let (k, v) = (repeated(cx, k, heads, groups)?, repeated(cx, v, heads, groups)?);
    let keys = cx.transpose(cx.with(k, root, Builder::multiply)?, &[0, 1, 3, 2])?;
    let mut scores = matmul(cx, cx.with(q, root, Builder::multiply)?, keys, dtype)?;
    let mode = cx.int("qk_matmul_output_mode", 0);
    let mut shown = scores;
    let cap = cx.float("softcap", 0.0);
    if cap != 0.0 {
        scores = cx.with(cx.tanh(cx.with(scores, cap, Builder::divide)?)?, cap, Builder::multiply)?;
        if mode == 1 {
            shown = scores;
        }
    }
    let shape = [batch, heads, rows, columns];
    let minus = cx.full(TensorType::new(dtype, shape), f64::NEG_INFINITY)?;
    if let Some(mask) = cx.opt(3)? {
        let mask = widened(cx, mask, columns)?;
        if cx.dtype(mask) == DType::Bool {
            scores = cx.select(cx.spread(mask, &shape)?, scores, minus)?;
        } else {
            scores = cx.add(scores, cx.spread(mask, &shape)?)?;
        }
    }
    if cx.int("is_causal", 0) != 0 {
        let row = cx.with(arange(cx, DType::I64, &shape, 2)?, past as f64, Builder::add)?;
        let seen = cx.compare(arange(cx, DType::I64, &shape, 3)?, row, Direction::Le)?;
        scores = cx.select(seen, scores, minus)?;
    }
    if let Some(lengths) = cx.opt(6)? {
        let lengths = spread_axis(cx, cx.cast(lengths, DType::I64)?, &shape, 0)?;
        let seen = cx.compare(arange(cx, DType::I64, &shape, 3)?, lengths, Direction::Lt)?;
        scores = cx.select(seen, scores, minus)?;
    }
    if mode == 2 {
        shown = scores;
    }
    let precision = match cx.int("softmax_precision", 0) {
        0 => dtype,
        number => crate::ops::cast::target(number)?,
    };
    let weights = softmax(cx, cx.cast(scores, precision)?, &[3])?;
    // A row that sees nothing gives zeros.
    let blind = cx.compare(weights, weights, Direction::Ne)?;
    let some = cx.compare(scores, scores, Direction::Eq)?;
    let blind = cx.and(blind, some)?;
    let weights = cx.select(blind, cx.full_like(weights, 0.0)?, weights)?;
    let weights = cx.cast(weights, dtype)?;
    if mode == 3 {
        shown = weights;
    }
    let y = cx.cast(matmul(cx, weights, cx.cast(v, dtype)?, dtype)?, dtype)?;
    let y = if flat { merged(cx, y)? } else { y };
    Ok(vec![y.into(), present_k.into(), present_v.into(), shown.into()])
}

/// `[batch, time, heads * width]` as `[batch, heads, time, width]`.
pub(crate) fn split(cx: &Cx<'_, '_>, x: Value, heads: i64) -> One {
    let &[batch, time, hidden] = &cx.dims(x)[..] else { return Ok(x) };
    match usize::try_from(heads) {
        Ok(heads) if heads > 0 && hidden % heads == 0 => {
            Ok(cx.transpose(cx.reshaped(x, [batch, time, heads, hidden / heads])?, &[0, 2, 1, 3])?)
        }
        _ => invalid(format!("{heads} heads of {hidden}")),
    }
}

/// `[batch, heads, time, width]` as `[batch, time, heads * width]`.
pub(crate) fn merged(cx: &Cx<'_, '_>, x: Value) -> One {
    let &[batch, heads, time, width] = &cx.dims(x)[..] else { return invalid("heads have four dimensions") };
    cx.reshaped(cx.transpose(x, &[0, 2, 1, 3])?, [batch, time, heads * width])
}

/// Each of `groups` heads as often as makes `heads`.
pub(crate) fn repeated(cx: &Cx<'_, '_>, x: Value, heads: usize, groups: usize) -> One {
    if heads == groups {
        return Ok(x);
    }
    let shape = cx.dims(x);
    if groups == 0 || !heads.is_multiple_of(groups) {
        return invalid(format!("{groups} key heads for {heads}"));
    }
    let mut wide = shape.clone();
    wide.insert(2, heads / groups);
    let dims: Vec<usize> = (0..wide.len()).filter(|&d| d != 2).collect();
    let mut flat = shape;
    *flat.slot(1)? = heads;
    cx.reshaped(cx.broadcast_in_dim(x, wide, &dims)?, flat)
}

/// A mask whose last dimension is shorter than the keys, closed where it ends.
fn widened(cx: &Cx<'_, '_>, mask: Value, columns: usize) -> One {
    let shape = cx.dims(mask);
    let last = shape.last().copied().unwrap_or(1);
    if last >= columns || shape.is_empty() {
        return Ok(mask);
    }
    let closed = if cx.dtype(mask) == DType::Bool { 0.0 } else { f64::NEG_INFINITY };
    let mut high = vec![0; shape.len()];
    if let Some(high) = high.last_mut() {
        *high = (columns - last) as i64;
    }
    Ok(cx.pad(mask, cx.scalar(cx.dtype(mask), closed)?, &vec![0; shape.len()], &high, &vec![0; shape.len()])?)
}
