//! `GlobalLpPool`: the p-norm over space.
//!
//! <https://onnx.ai/onnx/operators/onnx__GlobalLpPool.html>
//! Versions: 1, 2, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let p = if cx.opset < 2 { cx.float("p", 2.0) } else { cx.int("p", 2) as f64 };
    let dims: Vec<usize> = (2..cx.rank(x)).collect();
    let powers = cx.with(cx.abs(x)?, p, Builder::power)?;
    one(cx.with(sum(cx, powers, &dims)?, 1.0 / p, Builder::power)?)
}
