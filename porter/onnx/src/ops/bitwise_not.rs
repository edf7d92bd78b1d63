//! `BitwiseNot`: every bit flipped.
//!
//! <https://onnx.ai/onnx/operators/onnx__BitwiseNot.html>
//! Versions: 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::not)
}
