//! `InstanceNormalization`: the space of each channel normalised.
//!
//! <https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html>
//! Versions: 1, 6, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let dims: Vec<usize> = (2..shape.len()).collect();
    let [unit, ..] = normalize(cx, x, &dims, cx.float("epsilon", 1e-5))?;
    let along = |i: usize| -> One { spread_axis(cx, cx.x(i)?, &shape, 1) };
    one(cx.add(cx.multiply(unit, along(1)?)?, along(2)?)?)
}
