//! `ReduceLogSumExp`: the logarithm of the sum of exponentials over dimensions.
//!
//! <https://onnx.ai/onnx/operators/onnx__ReduceLogSumExp.html>
//! Versions: 1, 11, 13, 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    reduce_op(cx, |cx, x, dims| {
        let x = cx.cast(x, if cx.dtype(x).is_float() { cx.dtype(x) } else { DType::F32 })?;
        logsumexp(cx, x, dims)
    })
}
