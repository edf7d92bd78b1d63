//! `ReverseSequence`: the first elements of each sequence of a batch in reverse.
//!
//! <https://onnx.ai/onnx/operators/onnx__ReverseSequence.html>
//! Versions: 10.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, lengths) = (cx.x(0)?, cx.cast(cx.x(1)?, DType::I64)?);
    let shape = cx.dims(x);
    let (time, batch) = (cx.axis(cx.int("time_axis", 0), shape.len())?, cx.axis(cx.int("batch_axis", 1), shape.len())?);
    let place = arange(cx, DType::I64, &shape, time)?;
    let length = spread_axis(cx, lengths, &shape, batch)?;
    let mirrored = cx.with(cx.subtract(length, place)?, -1.0, Builder::add)?;
    let at = cx.select(cx.compare(place, length, Direction::Lt)?, mirrored, place)?;
    one(gather_points(cx, x, index_points(cx, at, time, shape.at(time)?)?)?)
}
