//! `BitShift`: bits moved to the left or right, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__BitShift.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    match &*cx.string("direction", "") {
        "LEFT" => binary(cx, Builder::shift_left),
        "RIGHT" => binary(cx, Builder::shift_right_logical),
        other => invalid(format!("direction {other:?}")),
    }
}
