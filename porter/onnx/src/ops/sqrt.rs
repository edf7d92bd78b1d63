//! `Sqrt`: square root.
//!
//! <https://onnx.ai/onnx/operators/onnx__Sqrt.html>
//! Versions: 1, 6, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::sqrt)
}
