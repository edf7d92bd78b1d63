//! `SequenceEmpty`: a sequence of nothing.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceEmpty.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["dtype"]);
    Ok(vec![Item::Sequence(Vec::new())])
}
