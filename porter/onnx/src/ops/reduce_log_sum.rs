//! `ReduceLogSum`: the logarithm of the sum over dimensions.
//!
//! <https://onnx.ai/onnx/operators/onnx__ReduceLogSum.html>
//! Versions: 1, 11, 13, 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    reduce_op(cx, |cx, x, dims| Ok(cx.log(cx.fold(x, dims, Fold::Sum)?)?))
}
