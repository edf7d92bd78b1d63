//! `ReduceMin`: the smallest over dimensions.
//!
//! <https://onnx.ai/onnx/operators/onnx__ReduceMin.html>
//! Versions: 1, 11, 12, 13, 18, 20.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    reduce_op(cx, |cx, x, dims| cx.fold(x, dims, Fold::Min))
}
