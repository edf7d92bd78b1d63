//! `LogSoftmax`: the logarithm of softmax.
//!
//! <https://onnx.ai/onnx/operators/onnx__LogSoftmax.html>
//! Versions: 1, 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let total = logsumexp(cx, x, &crate::ops::softmax::dims(cx, x)?)?;
    one(cx.subtract(x, cx.spread(total, &cx.dims(x))?)?)
}
