//! `Dropout`: its input, or a random part of it when training.
//!
//! <https://onnx.ai/onnx/operators/onnx__Dropout.html>
//! Versions: 1, 6, 7, 10, 12, 13, 22.
//! Limits: training with a ratio above 0 needs a random stream that no other system has, and is refused.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs", "is_test", "seed", "ratio"]);
    let x = cx.x(0)?;
    let training = if cx.opset >= 12 { cx.opt_ints(2)?.is_some_and(|t| t.first() != Some(&0)) } else { false };
    if training && cx.opt(1)?.is_none() {
        return unsupported("a random mask");
    }
    if training && cx.known(cx.x(1)?)?.to_floats().first() != Some(&0.0) {
        return unsupported("a random mask");
    }
    let ones = cx.full(TensorType::new(DType::Bool, cx.shape(x)), 1.0)?;
    let mask = if cx.opset < 10 { cx.cast(ones, cx.dtype(x))? } else { ones };
    Ok(vec![x.into(), mask.into()])
}
