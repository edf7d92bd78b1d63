//! `Floor`: the largest integer below.
//!
//! <https://onnx.ai/onnx/operators/onnx__Floor.html>
//! Versions: 1, 6, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::floor)
}
