//! `ConcatFromSequence`: the tensors of a sequence one after another.
//!
//! <https://onnx.ai/onnx/operators/onnx__ConcatFromSequence.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let items = crate::ops::sequence_length::sequence(cx, 0)?;
    let values: Vec<Value> = items.iter().map(super::r#if::value).collect::<Result<_, _>>()?;
    let Some(&first) = values.first() else { return invalid("an empty sequence") };
    let new = cx.int("new_axis", 0) != 0;
    let axis = cx.axis(cx.int("axis", 0), cx.rank(first) + usize::from(new))?;
    one(if new { stack(cx, &values, axis)? } else { cx.concatenate(&values, axis)? })
}
