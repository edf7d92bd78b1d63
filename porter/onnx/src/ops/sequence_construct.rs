//! `SequenceConstruct`: a sequence of tensors.
//!
//! <https://onnx.ai/onnx/operators/onnx__SequenceConstruct.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    Ok(vec![Item::Sequence(cx.inputs.clone())])
}
