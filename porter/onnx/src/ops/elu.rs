//! `Elu`: `x`, or `alpha * (exp(x) - 1)` below zero.
//!
//! <https://onnx.ai/onnx/operators/onnx__Elu.html>
//! Versions: 1, 6, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let (x, alpha) = (cx.x(0)?, cx.float("alpha", 1.0));
    let below = cx.with(cx.exponential_minus_one(x)?, alpha, Builder::multiply)?;
    one(cx.select(cx.is(x, Direction::Lt, 0.0)?, below, x)?)
}
