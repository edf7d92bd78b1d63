//! `GroupQueryAttention`: attention of grouped heads with a cache, as generating models are exported.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention>
//! Versions: 1 of `com.microsoft`. The total length must be known at import. Sinks, quantised caches, biases and a
//! smoothed softmax are refused.

use crate::{
    contrib::{Attend, closing, count, split_heads},
    help::prelude::*,
    ops::ms_rotary_embedding::turn,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (heads, groups) = (count(cx, "num_heads")?, count(cx, "kv_num_heads")?);
    let (mut q, mut k, v) = projections(cx, heads, groups)?;
    let &[batch, tokens, ..] = &cx.dims(q)[..] else { return invalid("queries have four dimensions") };
    if let Some(i) = (9..cx.inputs.len()).find(|&i| !matches!(cx.item(i), Item::Absent)) {
        return unsupported(format!("input {i}"));
    }
    cx.ignore(&["k_quant_type", "v_quant_type", "kv_cache_bit_width", "qk_output", "rotary_interleaved"]);
    if cx.int("smooth_softmax", 0) > 0 {
        return unsupported("smooth_softmax");
    }
    let Some(&total) = cx.known_ints(6)?.first() else { return invalid("total_sequence_length is empty") };
    let past = cx.opt(3)?.map_or(0, |past| cx.dims(past).get(2).copied().unwrap_or(0));
    let slots = past.max(usize::try_from(total).unwrap_or(0));
    let first = first_places(cx, batch, tokens, slots)?;
    let places = cx.add(cx.spread(first, &[batch, tokens])?, arange(cx, DType::I64, &[batch, tokens], 1)?)?;
    if cx.int("do_rotary", 0) != 0 {
        let table = |i: usize| crate::ops::gather::gather(cx, cx.x(i)?, places, 0);
        let tables = [table(7)?, table(8)?];
        let interleaved = cx.int("rotary_interleaved", 0) != 0;
        let width = 2 * cx.dims(tables[0]).last().copied().unwrap_or(0);
        (q, k) = (turn(cx, q, tables, width, interleaved)?, turn(cx, k, tables, width, interleaved)?);
    }
    let present = |input: usize, new: Value| cached(cx, cx.opt(input)?, new, first, slots);
    let (k, v) = (present(3, k)?, present(4, v)?);
    let shape = [batch, 1, tokens, slots];
    let own = spread_places(cx, places, &shape)?;
    let slot = arange(cx, DType::I64, &shape, 3)?;
    let mut seen = cx.compare(slot, own, Direction::Le)?;
    let window = cx.int("local_window_size", -1);
    if window > 0 {
        let near = cx.compare(slot, cx.with(own, window as f64, Builder::subtract)?, Direction::Gt)?;
        seen = cx.and(seen, near)?;
    }
    let terms = vec![closing(cx, seen, f64::from(f32::MIN))?];
    let softcap = cx.float_opt("softcap").filter(|&cap| cap > 0.0);
    let y = Attend { q, k, v, scale: cx.float_opt("scale"), softcap, terms }.build(cx)?;
    Ok(vec![y.into(), k.into(), v.into()])
}

/// Queries, keys and values as `[batch, tokens, heads, width]`, which may lie side by side in one input.
fn projections(cx: &Cx<'_, '_>, heads: usize, groups: usize) -> Result<(Value, Value, Value), Fault> {
    let q = cx.x(0)?;
    if let (Some(k), Some(v)) = (cx.opt(1)?, cx.opt(2)?) {
        return Ok((split_heads(cx, q, heads)?, split_heads(cx, k, groups)?, split_heads(cx, v, groups)?));
    }
    let all = split_heads(cx, q, heads + 2 * groups)?;
    let part = |from: usize, to: usize| cx.slice_dim(all, 2, from, to);
    Ok((part(0, heads)?, part(heads, heads + groups)?, part(heads + groups, heads + 2 * groups)?))
}

/// The slot of each sequence's first token: `i64[batch, 1]`.
fn first_places(cx: &Cx<'_, '_>, batch: usize, tokens: usize, slots: usize) -> One {
    if tokens == slots {
        return Ok(cx.full(TensorType::new(DType::I64, [batch, 1]), 0.0)?);
    }
    // Input 5 is each sequence's length less one.
    let last = cx.reshaped(cx.cast(cx.x(5)?, DType::I64)?, [batch, 1])?;
    let first = cx.with(last, 1.0 - tokens as f64, Builder::add)?;
    cx.with(first, 0.0, Builder::maximum)
}

/// `[batch, tokens]` over `shape`, its tokens being dimension 2.
fn spread_places(cx: &Cx<'_, '_>, places: Value, shape: &[usize]) -> One {
    Ok(cx.broadcast_in_dim(places, shape.to_vec(), &[0, 2])?)
}

/// `[batch, groups, slots, width]`: the cache, with `new` (`[batch, tokens, groups, width]`) from slot `first` on.
fn cached(cx: &Cx<'_, '_>, past: Option<Value>, new: Value, first: Value, slots: usize) -> One {
    let &[batch, tokens, groups, width] = &cx.dims(new)[..] else {
        return invalid("heads have four dimensions");
    };
    if tokens == slots {
        return Ok(cx.transpose(new, &[0, 2, 1, 3])?);
    }
    let shape = [batch, groups, slots, width];
    let from =
        cx.subtract(arange(cx, DType::I64, &[batch, slots], 1)?, cx.spread(first, &[batch, slots])?)?;
    let inside = cx.and(cx.is(from, Direction::Ge, 0.0)?, cx.is(from, Direction::Lt, tokens as f64)?)?;
    let place = cx.with(cx.with(from, 0.0, Builder::maximum)?, tokens as f64 - 1.0, Builder::minimum)?;
    let dimensions = GatherDimensions {
        offset_dims: vec![2, 3],
        collapsed_slice_dims: vec![1],
        operand_batching_dims: vec![0],
        start_indices_batching_dims: vec![0],
        start_index_map: vec![1],
        index_vector_dim: 2,
    };
    let moved = cx.builder.gather(new, place, dimensions, &[1, 1, groups, width])?;
    let moved = cx.transpose(moved, &[0, 2, 1, 3])?;
    let zero = cx.scalar(cx.dtype(new), 0.0)?;
    let old = match past {
        Some(past) => {
            let more = slots.saturating_sub(cx.dims(past).get(2).copied().unwrap_or(0));
            cx.pad(past, zero, &[0; 4], &[0, 0, i64::try_from(more).unwrap_or(0), 0], &[0; 4])?
        }
        None => cx.spread(zero, &shape)?,
    };
    Ok(cx.select(cx.broadcast_in_dim(inside, shape, &[0, 2])?, moved, old)?)
}
