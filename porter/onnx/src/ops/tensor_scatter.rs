//! `TensorScatter`: a cache with an update written at an index.
//!
//! <https://onnx.ai/onnx/operators/onnx__TensorScatter.html>
//! Versions: 24.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (cache, update) = (cx.x(0)?, cx.x(1)?);
    let (shape, part) = (cx.dims(cache), cx.dims(update));
    let axis = cx.axis(cx.int("axis", -2), shape.len())?;
    let batch = vec![shape.at(0)?];
    let start = match cx.opt(2)? {
        Some(start) => cx.cast(start, DType::I64)?,
        None => cx.full(TensorType::new(DType::I64, batch), 0.0)?,
    };
    let at = cx.add(spread_axis(cx, start, &part, 0)?, arange(cx, DType::I64, &part, axis)?)?;
    let at = match &*cx.string("mode", "linear") {
        "circular" => cx.with(at, shape.at(axis)? as f64, Builder::remainder)?,
        _ => at,
    };
    one(fold_scatter(cx, cache, index_points(cx, at, axis, shape.at(axis)?)?, update, None)?)
}
