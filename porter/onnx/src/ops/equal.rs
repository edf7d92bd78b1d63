//! `Equal`: whether elements are equal, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__Equal.html>
//! Versions: 1, 7, 11, 13, 19.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    compare(cx, Direction::Eq)
}
