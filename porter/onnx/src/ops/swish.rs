//! `Swish`: `x * sigmoid(alpha * x)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Swish.html>
//! Versions: 24.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, alpha) = (cx.x(0)?, cx.float("alpha", 1.0));
    one(cx.multiply(x, cx.logistic(cx.with(x, alpha, Builder::multiply)?)?)?)
}
