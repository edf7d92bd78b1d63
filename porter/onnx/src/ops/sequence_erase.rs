//! `SequenceErase`: a sequence with one tensor less, at a position known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceErase.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let mut items = crate::ops::sequence_length::sequence(cx, 0)?;
    let at = match cx.item(1) {
        Item::Absent => items.len().saturating_sub(1),
        _ => crate::ops::sequence_length::position(cx, 1, items.len())?,
    };
    if at < items.len() {
        items.remove(at);
    }
    Ok(vec![Item::Sequence(items)])
}
