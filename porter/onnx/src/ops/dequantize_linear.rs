//! `DequantizeLinear`: `(x - zero point) * scale`.
//!
//! <https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html>
//! Versions: 10, 13, 19, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = match cx.item(0).clone() {
        Item::Carried(value, ty) => crate::ops::cast::decoded(cx, value, ty)?,
        _ => cx.x(0)?,
    };
    let scale = quantised::scale(cx, 1)?;
    let shape = cx.dims(x);
    let zero = match cx.item(2).clone() {
        Item::Absent => None,
        Item::Carried(value, ty) => Some(crate::ops::cast::decoded(cx, value, ty)?),
        _ => Some(cx.x(2)?),
    };
    let wide = cx.wide(cx.dtype(scale));
    let inner = if cx.dtype(x).is_integer() { DType::I32 } else { wide };
    let mut y = cx.cast(x, inner)?;
    if let Some(zero) = zero {
        y = cx.subtract(y, cx.cast(quantised::spread(cx, zero, &shape)?, inner)?)?;
    }
    let scaled = cx.multiply(cx.cast(y, wide)?, cx.cast(quantised::spread(cx, scale, &shape)?, wide)?)?;
    let to = match cx.int("output_dtype", 0) {
        0 => cx.dtype(scale),
        number => crate::ops::cast::target(number)?,
    };
    one(cx.cast(scaled, to)?)
}

use crate::quantised;
