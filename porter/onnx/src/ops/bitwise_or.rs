//! `BitwiseOr`: or of bits, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__BitwiseOr.html>
//! Versions: 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    binary(cx, Builder::or)
}
