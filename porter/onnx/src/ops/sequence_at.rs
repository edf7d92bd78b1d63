//! `SequenceAt`: one tensor of a sequence, at a position known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceAt.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let items = crate::ops::sequence_length::sequence(cx, 0)?;
    let at = crate::ops::sequence_length::position(cx, 1, items.len())?;
    Ok(items.get(at).cloned().into_iter().collect())
}
