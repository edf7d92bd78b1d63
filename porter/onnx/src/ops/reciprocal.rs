//! `Reciprocal`: `1 / x`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Reciprocal.html>
//! Versions: 1, 6, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| b.divide(b.full_like(x, 1.0)?, x))
}
