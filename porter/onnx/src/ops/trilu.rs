//! `Trilu`: the upper or lower triangle of matrices.
//!
//! <https://onnx.ai/onnx/operators/onnx__Trilu.html>
//! Versions: 14.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let k = cx.opt_ints(1)?.and_then(|k| k.first().copied()).unwrap_or(0);
    let shape = cx.dims(x);
    let Some(last) = shape.len().checked_sub(2) else { return invalid("a matrix has two dimensions") };
    let (row, column) = (arange(cx, DType::I64, &shape, last)?, arange(cx, DType::I64, &shape, last + 1)?);
    let offset = cx.subtract(column, row)?;
    let bound = cx.full(TensorType::new(DType::I64, []), 0.0)?;
    let bound = cx.add(bound, cx.reshaped(cx.constant_ints(&[k])?, [])?)?;
    let bound = cx.spread(bound, &shape)?;
    let upper = cx.int("upper", 1) != 0;
    let keep = cx.compare(offset, bound, if upper { Direction::Ge } else { Direction::Le })?;
    one(cx.select(keep, x, cx.full_like(x, 0.0)?)?)
}
