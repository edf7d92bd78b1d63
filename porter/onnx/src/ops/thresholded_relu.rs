//! `ThresholdedRelu`: `x` above `alpha`, else 0.
//!
//! <https://onnx.ai/onnx/operators/onnx__ThresholdedRelu.html>
//! Versions: 10, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, alpha) = (cx.x(0)?, cx.float("alpha", 1.0));
    one(cx.select(cx.is(x, Direction::Gt, alpha)?, x, cx.full_like(x, 0.0)?)?)
}
