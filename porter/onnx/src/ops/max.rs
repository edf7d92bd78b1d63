//! `Max`: the largest of all inputs, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__Max.html>
//! Versions: 1, 6, 8, 12, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    numbers(cx, Builder::maximum)
}
