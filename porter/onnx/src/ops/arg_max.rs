//! `ArgMax`: where the largest element along a dimension is.
//!
//! <https://onnx.ai/onnx/operators/onnx__ArgMax.html>
//! Versions: 1, 11, 12, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    extreme(cx, Fold::Max)
}

pub(crate) fn extreme(cx: &Cx<'_, '_>, fold: Fold) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let axis = cx.axis(cx.int("axis", 0), shape.len())?;
    let last = cx.int("select_last_index", 0) != 0;
    let best = cx.reshaped(cx.fold(x, &[axis], fold)?, keep_dims(cx, x, &[axis]))?;
    let here = cx.compare(x, cx.spread(best, &shape)?, Direction::Eq)?;
    let place = arange(cx, DType::I64, &shape, axis)?;
    let outside = cx.full_like(place, if last { -1.0 } else { shape.at(axis)? as f64 })?;
    let place = cx.select(here, place, outside)?;
    let place = cx.fold(place, &[axis], if last { Fold::Max } else { Fold::Min })?;
    let keep = cx.int("keepdims", 1) != 0;
    one(if keep { cx.reshaped(place, keep_dims(cx, x, &[axis]))? } else { place })
}
