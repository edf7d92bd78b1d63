//! `Expand`: repeated to a shape known at import, broadcast.
//!
//! <https://onnx.ai/onnx/operators/onnx__Expand.html>
//! Versions: 8, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = crate::ops::constant_of_shape::sizes(&cx.known_ints(1)?)?;
    let joint = broadcast_shape(&[cx.dims(x), shape])?;
    one(cx.spread(x, &joint)?)
}
