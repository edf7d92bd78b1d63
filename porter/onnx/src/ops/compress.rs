//! `Compress`: the slices along a dimension that a condition known at import keeps.
//!
//! <https://onnx.ai/onnx/operators/onnx__Compress.html>
//! Versions: 9, 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let condition = cx.known_ints(1)?;
    let kept: Vec<i64> = (0..).zip(&condition).filter(|&(_, &keep)| keep != 0).map(|(i, _)| i).collect();
    let (x, axis) = match cx.int_opt("axis") {
        Some(axis) => (x, cx.axis(axis, cx.rank(x))?),
        None => (cx.reshaped(x, [cx.shape(x).elements()])?, 0),
    };
    one(crate::ops::gather::gather(cx, x, cx.constant_ints(&kept)?, axis)?)
}
