//! `IsNaN`: whether an element is no number.
//!
//! <https://onnx.ai/onnx/operators/onnx__IsNaN.html>
//! Versions: 9, 13, 20.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| b.compare(x, x, Direction::Ne))
}
