//! `Gather`: slices at indices along a dimension.
//!
//! <https://onnx.ai/onnx/operators/onnx__Gather.html>
//! Versions: 1, 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, indices) = (cx.x(0)?, cx.x(1)?);
    let shape = cx.dims(x);
    let axis = cx.axis(cx.int("axis", 0), shape.len())?;
    one(gather(cx, x, indices, axis)?)
}

pub(crate) fn gather(cx: &Cx<'_, '_>, x: Value, indices: Value, axis: usize) -> One {
    let (shape, k) = (cx.dims(x), cx.rank(indices));
    let Some(&size) = shape.get(axis) else { return invalid(format!("{shape:?} has no dimension {axis}")) };
    let negative = cx.is(indices, Direction::Lt, 0.0)?;
    let indices = cx.cast(indices, DType::I64)?;
    let indices = cx.select(negative, cx.with(indices, size as f64, Builder::add)?, indices)?;
    let rank = shape.len() - 1 + k;
    let dimensions = GatherDimensions {
        offset_dims: (0..axis).chain(axis + k..rank).collect(),
        collapsed_slice_dims: vec![axis],
        start_index_map: vec![axis],
        index_vector_dim: k,
        ..GatherDimensions::default()
    };
    let mut slice = shape;
    *slice.slot(axis)? = 1;
    Ok(cx.builder.gather(x, indices, dimensions, &slice)?)
}
