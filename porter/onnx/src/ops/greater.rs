//! `Greater`: whether `a > b`, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__Greater.html>
//! Versions: 1, 7, 9, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    compare(cx, Direction::Gt)
}
