//! `Not`: logical negation.
//!
//! <https://onnx.ai/onnx/operators/onnx__Not.html>
//! Versions: 1.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::not)
}
