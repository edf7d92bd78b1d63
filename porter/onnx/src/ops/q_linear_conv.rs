//! `QLinearConv`: a convolution of quantised tensors.
//!
//! <https://onnx.ai/onnx/operators/onnx__QLinearConv.html>
//! Versions: 10.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = crate::ops::mat_mul_integer::centred(cx, cx.x(0)?, cx.opt(2)?, None)?;
    let w = crate::ops::mat_mul_integer::centred(cx, cx.x(3)?, cx.opt(5)?, Some(0))?;
    let mut y = crate::ops::conv::convolved(cx, x, w, DType::I32)?;
    let shape = cx.dims(y);
    if let Some(bias) = cx.opt(8)? {
        y = cx.add(y, spread_axis(cx, bias, &shape, 1)?)?;
    }
    let scalar = |i: usize| -> One { cx.spread(cx.reshaped(cx.x(i)?, [])?, &shape) };
    let weight = cx.x(4)?;
    let weight = if cx.shape(weight).elements() == 1 {
        cx.spread(cx.reshaped(weight, [])?, &shape)?
    } else {
        spread_axis(cx, weight, &shape, 1)?
    };
    let scale = cx.divide(cx.multiply(scalar(1)?, weight)?, scalar(6)?)?;
    crate::quantised::requantised(cx, cx.multiply(cx.cast(y, DType::F32)?, scale)?, 7)
}
