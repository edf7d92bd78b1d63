//! `Atan`: arc tangent.
//!
//! <https://onnx.ai/onnx/operators/onnx__Atan.html>
//! Versions: 7, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| b.atan2(x, b.full_like(x, 1.0)?))
}
