//! `OneHot`: a value at indices, another elsewhere, in a depth known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__OneHot.html>
//! Versions: 9, 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (indices, values) = (cx.x(0)?, cx.x(2)?);
    let depth = cx.known(cx.x(1)?)?.to_floats().first().copied().unwrap_or(0.0) as usize;
    let rank = cx.rank(indices) + 1;
    let axis = cx.axis(cx.int("axis", -1), rank)?;
    let indices = cx.cast(indices, DType::I64)?;
    let wrapped = cx.with(indices, depth as f64, Builder::add)?;
    let indices = cx.select(cx.is(indices, Direction::Lt, 0.0)?, wrapped, indices)?;
    let mut shape = cx.dims(indices);
    shape.insert(axis, depth);
    let dims: Vec<usize> = (0..rank).filter(|&i| i != axis).collect();
    let at = cx.broadcast_to(indices, shape.clone(), &dims)?;
    let here = cx.compare(at, arange(cx, DType::I64, &shape, axis)?, Direction::Eq)?;
    let pick = |i: usize| -> One { cx.spread(cx.reshaped(cx.slice_dim(values, 0, i, i + 1)?, [])?, &shape) };
    one(cx.select(here, pick(1)?, pick(0)?)?)
}
