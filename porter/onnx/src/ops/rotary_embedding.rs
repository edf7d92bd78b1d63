//! `RotaryEmbedding`: pairs of elements turned by angles of their position.
//!
//! <https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html>
//! Versions: 23.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let flat = cx.rank(x) == 3;
    let y = if flat { attention::split(cx, x, cx.int("num_heads", 0))? } else { x };
    cx.ignore(&["num_heads"]);
    let &[batch, heads, time, width] = &cx.dims(y)[..] else { return invalid("the input has three or four dimensions") };
    let turned = match usize::try_from(cx.int("rotary_embedding_dim", 0)).unwrap_or(0) {
        0 => width,
        n => n.min(width),
    };
    let half = turned / 2;
    let table = |i: usize| -> One {
        let mut cache = cx.x(i)?;
        if let Some(ids) = cx.opt(3)? {
            cache = crate::ops::gather::gather(cx, cache, ids, 0)?;
        }
        let cache = cx.cast(cache, cx.dtype(x))?;
        let cache = cx.reshaped(cache, [cx.dims(cache).at(0)?, time, half])?;
        let dims: &[usize] = if cx.dims(cache).at(0)? == batch { &[0, 2, 3] } else { &[] };
        if dims.is_empty() {
            return cx.spread(cx.reshaped(cache, [1, 1, time, half])?, &[batch, heads, time, half]);
        }
        Ok(cx.broadcast_in_dim(cache, [batch, heads, time, half], dims)?)
    };
    let (cos, sin) = (table(1)?, table(2)?);
    let interleaved = cx.int("interleaved", 0) != 0;
    let (a, b) = if interleaved {
        (step_slice(cx, y, 3, 0, 2, half)?, step_slice(cx, y, 3, 1, 2, half)?)
    } else {
        (cx.slice_dim(y, 3, 0, half)?, cx.slice_dim(y, 3, half, turned)?)
    };
    let real = cx.subtract(cx.multiply(cos, a)?, cx.multiply(sin, b)?)?;
    let imaginary = cx.add(cx.multiply(sin, a)?, cx.multiply(cos, b)?)?;
    let mut parts = if interleaved {
        vec![cx.reshaped(stack(cx, &[real, imaginary], 4)?, [batch, heads, time, turned])?]
    } else {
        vec![real, imaginary]
    };
    if turned < width {
        parts.push(cx.slice_dim(y, 3, turned, width)?);
    }
    let y = cx.concatenate(&parts, 3)?;
    one(if flat { attention::merged(cx, y)? } else { y })
}

use crate::ops::attention;
