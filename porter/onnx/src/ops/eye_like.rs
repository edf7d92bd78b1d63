//! `EyeLike`: ones on a diagonal.
//!
//! <https://onnx.ai/onnx/operators/onnx__EyeLike.html>
//! Versions: 9, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    if shape.len() != 2 {
        return invalid(format!("a matrix has two dimensions, found {shape:?}"));
    }
    let dtype = match cx.int_opt("dtype") {
        Some(number) => crate::ops::cast::target(number)?,
        None => cx.dtype(x),
    };
    let k = cx.int("k", 0);
    let (row, column) = (arange(cx, DType::I64, &shape, 0)?, arange(cx, DType::I64, &shape, 1)?);
    let on = cx.compare(cx.with(row, k as f64, Builder::add)?, column, Direction::Eq)?;
    one(cx.cast(on, dtype)?)
}
