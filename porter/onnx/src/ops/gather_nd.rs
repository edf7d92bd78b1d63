//! `GatherND`: slices at index vectors.
//!
//! <https://onnx.ai/onnx/operators/onnx__GatherND.html>
//! Versions: 11, 12, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, points) = (cx.x(0)?, cx.x(1)?);
    let (shape, at) = (cx.dims(x), cx.dims(points));
    let batch = usize::try_from(cx.int("batch_dims", 0)).unwrap_or(0);
    let Some((&k, vectors)) = at.split_last() else { return invalid("indices have no dimension") };
    if batch.saturating_add(k) > shape.len() || batch > vectors.len() {
        return invalid(format!("{k} indices after {batch} batch dimensions of {shape:?}"));
    }
    let points = wrap_points(cx, points, shape.part(batch..batch + k)?)?;
    let out = vectors.len() + shape.len() - batch - k;
    let dimensions = GatherDimensions {
        offset_dims: (vectors.len()..out).collect(),
        collapsed_slice_dims: (batch..batch + k).collect(),
        operand_batching_dims: (0..batch).collect(),
        start_indices_batching_dims: (0..batch).collect(),
        start_index_map: (batch..batch + k).collect(),
        index_vector_dim: vectors.len(),
    };
    let slice: Vec<usize> = shape.iter().enumerate().map(|(i, &d)| if i < batch + k { 1 } else { d }).collect();
    one(cx.gather(x, points, dimensions, &slice)?)
}

/// Index vectors `[.., k]` with what is negative counted from the end of each of `sizes`.
pub(crate) fn wrap_points(cx: &Cx<'_, '_>, points: Value, sizes: &[usize]) -> One {
    let points = cx.cast(points, DType::I64)?;
    let sizes: Vec<i64> = sizes.iter().map(|&d| d as i64).collect();
    let sizes = cx.spread(cx.constant_ints(&sizes)?, &cx.dims(points))?;
    Ok(cx.select(cx.is(points, Direction::Lt, 0.0)?, cx.add(points, sizes)?, points)?)
}
