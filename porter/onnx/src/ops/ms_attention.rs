//! `Attention`: projections and attention over heads.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Attention>
//! Versions: 1 of `com.microsoft`. `do_rotary` is refused.

use crate::{
    contrib::{Attend, causal, count, hidden, split_heads},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, weights) = (cx.x(0)?, cx.x(1)?);
    let mut projected = matmul(cx, x, weights, cx.dtype(x))?;
    if let Some(bias) = cx.opt(2)? {
        projected = cx.pair(projected, bias, Builder::add)?;
    }
    attended(cx, projected, cx.opt(3)?, cx.opt(4)?, cx.opt(5)?)
}

/// Attention of queries, keys and values that lie side by side, with a mask, a cache and a bias.
pub(crate) fn attended(
    cx: &Cx<'_, '_>,
    projected: Value,
    mask: Option<Value>,
    past: Option<Value>,
    bias: Option<Value>,
) -> Out {
    let heads = count(cx, "num_heads")?;
    if cx.int("do_rotary", 0) != 0 {
        return unsupported("do_rotary");
    }
    cx.ignore(&["past_present_share_buffer", "rotary_embedding_dim"]);
    let &[batch, tokens, wide] = &cx.dims(projected)[..] else {
        return invalid("the input has three dimensions");
    };
    let sizes = match cx.ints("qkv_hidden_sizes") {
        Some(sizes) => crate::ops::constant_of_shape::sizes(&sizes)?,
        None => vec![wide / 3; 3],
    };
    let &[q_size, k_size, v_size] = &sizes[..] else { return invalid(format!("qkv_hidden_sizes {sizes:?}")) };
    if q_size + k_size + v_size != wide {
        return invalid(format!("qkv_hidden_sizes {sizes:?} of {wide}"));
    }
    let part =
        |from: usize, size: usize| split_heads(cx, cx.slice_dim(projected, 2, from, from + size)?, heads);
    let (q, k, v) = (part(0, q_size)?, part(q_size, k_size)?, part(q_size + k_size, v_size)?);
    let (mut k, mut v) = (cx.transpose(k, &[0, 2, 1, 3])?, cx.transpose(v, &[0, 2, 1, 3])?);
    if let Some(past) = past {
        let half = |i: usize| -> One {
            let shape = cx.dims(past);
            cx.reshaped(cx.slice_dim(past, 0, i, i + 1)?, shape.get(1..).unwrap_or_default().to_vec())
        };
        (k, v) = (cx.concatenate(&[half(0)?, k], 2)?, cx.concatenate(&[half(1)?, v], 2)?);
    }
    let slots = cx.dims(k).at(2)?;
    let mut terms: Vec<Value> = bias.into_iter().collect();
    let filter = cx.float("mask_filter_value", -10000.0);
    if let Some(mask) = mask {
        terms.push(hidden(cx, mask, batch, slots, filter)?);
    }
    if cx.int("unidirectional", 0) != 0 {
        terms.push(causal(cx, tokens, slots)?);
    }
    let y = Attend { q, k, v, scale: cx.float_opt("scale"), softcap: None, terms }.build(cx)?;
    let present = if cx.wants(1) { stack(cx, &[k, v], 0)?.into() } else { Item::Absent };
    Ok(vec![y.into(), present])
}
