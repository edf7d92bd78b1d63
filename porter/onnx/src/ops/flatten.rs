//! `Flatten`: two dimensions: those before `axis` and those from it on.
//!
//! <https://onnx.ai/onnx/operators/onnx__Flatten.html>
//! Versions: 1, 9, 11, 13, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let axis = cx.int("axis", 1);
    let axis = if axis == shape.len() as i64 { shape.len() } else { cx.axis(axis, shape.len())? };
    let (rows, columns) = (elements(shape.part(..axis)?), elements(shape.part(axis..)?));
    one(cx.reshaped(x, [rows, columns])?)
}
