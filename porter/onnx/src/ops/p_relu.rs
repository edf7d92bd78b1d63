//! `PRelu`: `x`, or `slope * x` below zero.
//!
//! <https://onnx.ai/onnx/operators/onnx__PRelu.html>
//! Versions: 1, 6, 7, 9, 16.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let (x, mut slope) = (cx.x(0)?, cx.x(1)?);
    let shape = cx.dims(x);
    if cx.opset < 7 && cx.rank(slope) == 1 && shape.len() > 1 && cx.dims(slope).at(0)? == shape.at(1)? {
        slope = cx.reshaped(slope, one_axis(shape.len(), 1, shape.at(1)?))?;
    }
    let below = cx.multiply(x, cx.spread(slope, &shape)?)?;
    one(cx.select(cx.is(x, Direction::Lt, 0.0)?, below, x)?)
}
