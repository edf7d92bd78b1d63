//! `CenterCropPad`: cropped or padded around the middle to a shape known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__CenterCropPad.html>
//! Versions: 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let target = crate::ops::constant_of_shape::sizes(&cx.known_ints(1)?)?;
    let axes = match cx.ints("axes") {
        Some(axes) => cx.axes(&axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let (mut low, mut high) = (vec![0; shape.len()], vec![0; shape.len()]);
    for (&axis, &size) in axes.iter().zip(&target) {
        let more = size as i64 - shape.at(axis)? as i64;
        *low.slot(axis)? = if more < 0 { -((-more) / 2) } else { more / 2 };
        *high.slot(axis)? = more - low.at(axis)?;
    }
    let zero = cx.scalar(cx.dtype(x), 0.0)?;
    one(cx.pad(x, zero, &low, &high, &vec![0; shape.len()])?)
}
