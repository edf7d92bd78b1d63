//! `MatMulInteger`: the matrix product of integers less their zero points, in `i32`.
//!
//! <https://onnx.ai/onnx/operators/onnx__MatMulInteger.html>
//! Versions: 10.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (a, b) = (cx.x(0)?, cx.x(1)?);
    let rows = cx.rank(a).checked_sub(2);
    let a = centred(cx, a, cx.opt(2)?, rows)?;
    let columns = cx.rank(b).checked_sub(1);
    let b = centred(cx, b, cx.opt(3)?, columns)?;
    one(matmul(cx, a, b, DType::I32)?)
}

/// `x` less its zero point, which lies along `axis` where it has as many elements, as `i32`.
pub(crate) fn centred(cx: &Cx<'_, '_>, x: Value, zero: Option<Value>, axis: Option<usize>) -> One {
    let wide = cx.cast(x, DType::I32)?;
    let Some(zero) = zero else { return Ok(wide) };
    let (zero, shape) = (cx.cast(zero, DType::I32)?, cx.dims(x));
    let zero = match (cx.shape(zero).elements(), axis) {
        (1, _) => cx.spread(cx.reshaped(zero, [])?, &shape)?,
        (_, Some(axis)) if cx.rank(zero) == 1 => spread_axis(cx, zero, &shape, axis)?,
        _ => cx.spread(zero, &shape)?,
    };
    Ok(cx.subtract(wide, zero)?)
}
