//! `ScatterElements`: elements put at indices along a dimension, or folded into what is there.
//!
//! <https://onnx.ai/onnx/operators/onnx__ScatterElements.html>
//! Versions: 11, 13, 16, 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, indices, updates) = (cx.x(0)?, cx.x(1)?, cx.x(2)?);
    let axis = cx.axis(cx.int("axis", 0), cx.rank(x))?;
    let points = index_points(cx, indices, axis, cx.dims(x).at(axis)?)?;
    one(fold_scatter(cx, x, points, updates, reduction(cx)?)?)
}

/// The `reduction` attribute.
pub(crate) fn reduction(cx: &Cx<'_, '_>) -> Result<Option<Fold>, Fault> {
    Ok(match &*cx.string("reduction", "none") {
        "none" => None,
        "add" => Some(Fold::Sum),
        "mul" => Some(Fold::Product),
        "max" => Some(Fold::Max),
        "min" => Some(Fold::Min),
        other => return invalid(format!("reduction {other:?}")),
    })
}
