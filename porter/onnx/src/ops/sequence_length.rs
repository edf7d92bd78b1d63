//! `SequenceLength`: how many tensors a sequence holds.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceLength.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let count = sequence(cx, 0)?.len() as i64;
    one(cx.reshaped(cx.constant_ints(&[count])?, [])?)
}

/// Input `index`, which must be a sequence.
pub(crate) fn sequence(cx: &Cx<'_, '_>, index: usize) -> Result<Vec<Item>, Fault> {
    match cx.item(index) {
        Item::Sequence(items) => Ok(items.clone()),
        _ => invalid(format!("input {index} must be a sequence")),
    }
}

/// A position in a sequence, known at import, counted from the end where it is negative.
pub(crate) fn position(cx: &Cx<'_, '_>, index: usize, length: usize) -> Result<usize, Fault> {
    let at = cx.known_ints(index)?.first().copied().unwrap_or(0);
    cx.axis(at, length)
}
