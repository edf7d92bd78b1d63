//! `GatherElements`: elements at indices along a dimension.
//!
//! <https://onnx.ai/onnx/operators/onnx__GatherElements.html>
//! Versions: 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, indices) = (cx.x(0)?, cx.x(1)?);
    let axis = cx.axis(cx.int("axis", 0), cx.rank(x))?;
    let points = index_points(cx, indices, axis, cx.dims(x).at(axis)?)?;
    one(gather_points(cx, x, points)?)
}
