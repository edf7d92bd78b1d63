//! `LeakyRelu`: `x`, or `alpha * x` below zero.
//!
//! <https://onnx.ai/onnx/operators/onnx__LeakyRelu.html>
//! Versions: 1, 6, 16.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let (x, alpha) = (cx.x(0)?, cx.float("alpha", 0.01));
    one(cx.select(cx.is(x, Direction::Lt, 0.0)?, cx.with(x, alpha, Builder::multiply)?, x)?)
}
