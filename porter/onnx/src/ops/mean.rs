//! `Mean`: the mean of all inputs, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__Mean.html>
//! Versions: 1, 6, 8, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let count = cx.inputs.len() as f64;
    let Some(Item::Tensor(total)) = numbers(cx, Builder::add)?.pop() else { return invalid("has no input") };
    one(cx.with(total, count, Builder::divide)?)
}
