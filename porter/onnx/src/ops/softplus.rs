//! `Softplus`: `log(1 + exp(x))`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Softplus.html>
//! Versions: 1, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    one(softplus(cx, cx.x(0)?)?)
}

pub(crate) fn softplus(cx: &Cx<'_, '_>, x: Value) -> One {
    let tail = cx.log_plus_one(cx.exponential(cx.negate(cx.abs(x)?)?)?)?;
    Ok(cx.add(cx.with(x, 0.0, Builder::maximum)?, tail)?)
}
