//! `Optional`: an optional, with a value or without.
//!
//! <https://onnx.ai/onnx/operators/onnx__Optional.html>
//! Versions: 15.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["type"]);
    Ok(vec![match cx.item(0) {
        Item::Absent => Item::Empty,
        item => item.clone(),
    }])
}
