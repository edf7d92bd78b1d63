//! `ReduceL1`: the sum of magnitudes over dimensions.
//!
//! <https://onnx.ai/onnx/operators/onnx__ReduceL1.html>
//! Versions: 1, 11, 13, 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    reduce_op(cx, |cx, x, dims| cx.fold(cx.abs(x)?, dims, Fold::Sum))
}
