//! `SequenceInsert`: a sequence with one tensor more, at a position known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceInsert.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let mut items = crate::ops::sequence_length::sequence(cx, 0)?;
    let at = if let Item::Absent = cx.item(2) { items.len() } else {
        let at = cx.known_ints(2)?.first().copied().unwrap_or(0);
        if at == items.len() as i64 { items.len() } else { cx.axis(at, items.len())? }
    };
    items.insert(at, cx.item(1).clone());
    Ok(vec![Item::Sequence(items)])
}
