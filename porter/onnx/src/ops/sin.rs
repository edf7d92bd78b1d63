//! `Sin`: sine.
//!
//! <https://onnx.ai/onnx/operators/onnx__Sin.html>
//! Versions: 7, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::sine)
}
