//! `QLinearMatMul`: a matrix product of quantised matrices.
//!
//! <https://onnx.ai/onnx/operators/onnx__QLinearMatMul.html>
//! Versions: 10, 21.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (a, b) = (cx.x(0)?, cx.x(3)?);
    let (rows, columns) = (cx.rank(a).checked_sub(2), cx.rank(b).checked_sub(1));
    let a = crate::ops::mat_mul_integer::centred(cx, a, cx.opt(2)?, rows)?;
    let b = crate::ops::mat_mul_integer::centred(cx, b, cx.opt(5)?, columns)?;
    let product = matmul(cx, a, b, DType::I32)?;
    let shape = cx.dims(product);
    let wide = |i: usize, axis: Option<usize>| -> One {
        let scale = cx.cast(cx.x(i)?, DType::F32)?;
        match (cx.shape(scale).elements(), axis) {
            (1, _) => cx.spread(cx.reshaped(scale, [])?, &shape),
            (_, Some(axis)) if cx.rank(scale) == 1 => spread_axis(cx, scale, &shape, axis),
            _ => cx.spread(scale, &shape),
        }
    };
    let last = shape.len().checked_sub(1);
    let scale = cx.multiply(wide(1, shape.len().checked_sub(2))?, wide(4, last)?)?;
    let scale = cx.divide(scale, wide(6, last)?)?;
    crate::quantised::requantised(cx, cx.multiply(cx.cast(product, DType::F32)?, scale)?, 7)
}
