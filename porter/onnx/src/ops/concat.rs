//! `Concat`: inputs one after another along a dimension.
//!
//! <https://onnx.ai/onnx/operators/onnx__Concat.html>
//! Versions: 1, 4, 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let all = cx.all()?;
    let Some(&first) = all.first() else { return invalid("has no input") };
    let axis = cx.axis(cx.int("axis", 1), cx.rank(first))?;
    one(cx.concatenate(&all, axis)?)
}
