//! `OptionalGetElement`: the value of an optional.
//!
//! <https://onnx.ai/onnx/operators/onnx__OptionalGetElement.html>
//! Versions: 15, 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    match cx.item(0) {
        Item::Absent | Item::Empty => invalid("an optional without a value"),
        item => Ok(vec![item.clone()]),
    }
}
