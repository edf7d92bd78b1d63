//! `LpNormalization`: divided by the p-norm along a dimension.
//!
//! <https://onnx.ai/onnx/operators/onnx__LpNormalization.html>
//! Versions: 1, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let axis = cx.axis(cx.int("axis", -1), shape.len())?;
    let size = match cx.int("p", 2) {
        1 => sum(cx, cx.abs(x)?, &[axis])?,
        2 => cx.sqrt(sum(cx, cx.multiply(x, x)?, &[axis])?)?,
        p => return invalid(format!("p {p}")),
    };
    // What is all zeros stays so.
    let size = cx.select(cx.is(size, Direction::Eq, 0.0)?, cx.full_like(size, 1.0)?, size)?;
    one(cx.divide(x, cx.spread(size, &shape)?)?)
}
