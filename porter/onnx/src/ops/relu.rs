//! `Relu`: `max(x, 0)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Relu.html>
//! Versions: 1, 6, 13, 14.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| b.maximum(x, b.full_like(x, 0.0)?))
}
