//! `Identity`: its input.
//!
//! <https://onnx.ai/onnx/operators/onnx__Identity.html>
//! Versions: 1, 13, 14, 16, 19, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    match cx.item(0) {
        Item::Absent => invalid("input 0 is missing"),
        item => Ok(vec![item.clone()]),
    }
}
