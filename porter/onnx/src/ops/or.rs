//! `Or`: logical or, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__Or.html>
//! Versions: 1, 7.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    binary(cx, Builder::or)
}
