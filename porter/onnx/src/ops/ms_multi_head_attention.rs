//! `MultiHeadAttention`: attention over heads of projected queries, keys and values.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MultiHeadAttention>
//! Versions: 1 of `com.microsoft`. Packed queries, keys and values are refused.

use crate::{
    contrib::{Attend, causal, count, hidden, split_heads},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let heads = count(cx, "num_heads")?;
    let Some(key) = cx.opt(1)? else { return unsupported("queries, keys and values packed in one tensor") };
    let Some(value) = cx.opt(2)? else { return unsupported("keys and values packed in one tensor") };
    let (mut q, mut k, mut v) = (cx.x(0)?, key, value);
    if let Some(bias) = cx.opt(3)? {
        let part = |x: Value, start: usize| -> One {
            let width = cx.dims(x).last().copied().unwrap_or(0);
            let slice = cx.slice_dim(bias, 0, start, start + width)?;
            if cx.rank(x) == 3 {
                cx.pair(x, slice, Builder::add)
            } else {
                unsupported("a bias of split heads")
            }
        };
        let (to_k, to_v) = (width(cx, q), width(cx, q) + width(cx, k));
        (q, k, v) = (part(q, 0)?, part(k, to_k)?, part(v, to_v)?);
    }
    let q = split_heads(cx, q, heads)?;
    let over_time = |x: Value| -> One {
        if cx.rank(x) == 4 { Ok(x) } else { Ok(cx.transpose(split_heads(cx, x, heads)?, &[0, 2, 1, 3])?) }
    };
    let (mut k, mut v) = (over_time(k)?, over_time(v)?);
    if let (Some(keys), Some(values)) = (cx.opt(6)?, cx.opt(7)?) {
        (k, v) = (cx.concatenate(&[keys, k], 2)?, cx.concatenate(&[values, v], 2)?);
    }
    let (batch, tokens, slots) = (cx.dims(q).at(0)?, cx.dims(q).at(1)?, cx.dims(k).at(2)?);
    let mut terms: Vec<Value> = cx.opt(5)?.into_iter().collect();
    let filter = cx.float("mask_filter_value", -10000.0);
    if let Some(mask) = cx.opt(4)? {
        terms.push(hidden(cx, mask, batch, slots, filter)?);
    }
    if cx.int("unidirectional", 0) != 0 {
        terms.push(causal(cx, tokens, slots)?);
    }
    let y = Attend { q, k, v, scale: cx.float_opt("scale"), softcap: None, terms }.build(cx)?;
    Ok(vec![y.into(), k.into(), v.into()])
}

fn width(cx: &Cx<'_, '_>, x: Value) -> usize {
    cx.dims(x).last().copied().unwrap_or(0)
}
