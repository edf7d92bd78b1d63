//! `Mish`: `x * tanh(softplus(x))`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Mish.html>
//! Versions: 18, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let soft = crate::ops::softplus::softplus(cx, x)?;
    one(cx.multiply(x, cx.tanh(soft)?)?)
}
