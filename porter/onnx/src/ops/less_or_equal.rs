//! `LessOrEqual`: whether `a <= b`, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__LessOrEqual.html>
//! Versions: 12, 16.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    compare(cx, Direction::Le)
}
