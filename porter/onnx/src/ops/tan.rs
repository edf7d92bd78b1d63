//! `Tan`: tangent.
//!
//! <https://onnx.ai/onnx/operators/onnx__Tan.html>
//! Versions: 7, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::tan)
}
