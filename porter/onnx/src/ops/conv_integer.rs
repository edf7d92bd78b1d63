//! `ConvInteger`: convolution of integers less their zero points, in `i32`.
//!
//! <https://onnx.ai/onnx/operators/onnx__ConvInteger.html>
//! Versions: 10.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = crate::ops::mat_mul_integer::centred(cx, cx.x(0)?, cx.opt(2)?, None)?;
    let w = crate::ops::mat_mul_integer::centred(cx, cx.x(1)?, cx.opt(3)?, Some(0))?;
    one(crate::ops::conv::convolved(cx, x, w, DType::I32)?)
}
