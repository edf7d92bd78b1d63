//! `Add`: sum, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__Add.html>
//! Versions: 1, 6, 7, 13, 14.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    binary(cx, Builder::add)
}
