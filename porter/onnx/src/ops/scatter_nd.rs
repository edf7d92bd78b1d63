//! `ScatterND`: slices put at index vectors, or folded into what is there.
//!
//! <https://onnx.ai/onnx/operators/onnx__ScatterND.html>
//! Versions: 11, 13, 16, 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, points, updates) = (cx.x(0)?, cx.x(1)?, cx.x(2)?);
    let k = cx.dims(points).last().copied().unwrap_or(0);
    let shape = cx.dims(x);
    if k > shape.len() || cx.rank(points) == 0 {
        return invalid(format!("{k} indices into {shape:?}"));
    }
    let points = crate::ops::gather_nd::wrap_points(cx, points, shape.part(..k)?)?;
    one(fold_scatter(cx, x, points, updates, crate::ops::scatter_elements::reduction(cx)?)?)
}
