//! `Round`: the nearest integer, ties to even.
//!
//! <https://onnx.ai/onnx/operators/onnx__Round.html>
//! Versions: 11, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::round_nearest_even)
}
