//! `SoftmaxCrossEntropyLoss`: the loss of target classes after softmax, and the log probabilities.
//!
//! <https://onnx.ai/onnx/operators/onnx__SoftmaxCrossEntropyLoss.html>
//! Versions: 12, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    if cx.rank(x) < 2 {
        return invalid("the input has no classes");
    }
    let total = logsumexp(cx, x, &[1])?;
    let log = cx.subtract(x, cx.spread(total, &cx.dims(x))?)?;
    Ok(vec![crate::ops::negative_log_likelihood_loss::loss(cx, log)?.into(), log.into()])
}
