//! `RotaryEmbedding`: pairs of elements turned by angles of their position.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.RotaryEmbedding>
//! Versions: 1 of `com.microsoft`. A scale other than 1 and packed batches are refused.

use crate::recognise::composites::rotary;
use crate::{contrib::split_heads, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, ids) = (cx.x(0)?, cx.x(1)?);
    if cx.int("is_packed_batching", 0) != 0 {
        return unsupported("is_packed_batching");
    }
    let scale = cx.float("scale", 1.0);
    if (scale - 1.0).abs() > 0.0 {
        return unsupported(format!("scale {scale}"));
    }
    let (cos, sin) = (cx.x(2)?, cx.x(3)?);
    let width = usize::try_from(cx.int("rotary_embedding_dim", 0)).unwrap_or(0);
    let shape = cx.dims(x);
    let (batch, time, y) = match shape[..] {
        // Heads lie before tokens.
        [batch, _, time, _] => (batch, time, cx.transpose(x, &[0, 2, 1, 3])?),
        [batch, time, hidden] => {
            let heads = match usize::try_from(cx.int("num_heads", 0)).unwrap_or(0) {
                0 => hidden / (2 * cx.dims(cos).last().copied().unwrap_or(1)).max(1),
                n => n,
            };
            (batch, time, split_heads(cx, x, heads)?)
        }
        _ => return invalid(format!("an input of {shape:?}")),
    };
    let positions = if cx.shape(ids).elements() == 1 {
        let first = cx.spread(cx.reshaped(cx.cast(ids, DType::I64)?, [])?, &[batch, time])?;
        cx.add(first, arange(cx, DType::I64, &[batch, time], 1)?)?
    } else {
        ids
    };
    let table = |table: Value| crate::ops::gather::gather(cx, table, positions, 0);
    let y = turn(cx, y, [table(cos)?, table(sin)?], width, cx.int("interleaved", 0) != 0)?;
    one(if shape.len() == 4 { cx.transpose(y, &[0, 2, 1, 3])? } else { cx.reshaped(y, shape)? })
}

/// `[batch, time, heads, width]` with its first `turned` numbers (all of them for 0) turned by the angles whose cosines
/// and sines are `[batch, time, turned / 2]`.
pub(crate) fn turn(cx: &Cx<'_, '_>, x: Value, tables: [Value; 2], turned: usize, interleaved: bool) -> One {
    let &[batch, time, heads, width] = &cx.dims(x)[..] else { return invalid("heads have four dimensions") };
    let turned = if turned == 0 { width } else { turned.min(width) };
    let half = turned / 2;
    let table = |table: Value| -> One { cx.cast(cx.slice_dim(table, 2, 0, half)?, DType::F32) };
    let first = cx.slice_dim(x, 3, 0, turned)?;
    let halves = if interleaved {
        let (a, b) = (step_slice(cx, first, 3, 0, 2, half)?, step_slice(cx, first, 3, 1, 2, half)?);
        cx.concatenate(&[a, b], 3)?
    } else {
        first
    };
    let mut y = rotary(&cx.builder, halves, table(tables[0])?, table(tables[1])?)?;
    if interleaved {
        let (a, b) = (cx.slice_dim(y, 3, 0, half)?, cx.slice_dim(y, 3, half, turned)?);
        y = cx.reshaped(stack(cx, &[a, b], 4)?, [batch, time, heads, turned])?;
    }
    if turned == width {
        return Ok(y);
    }
    Ok(cx.concatenate(&[y, cx.slice_dim(x, 3, turned, width)?], 3)?)
}
