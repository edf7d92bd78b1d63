//! `TopK`: the largest or smallest elements along a dimension, how many of them known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__TopK.html>
//! Versions: 1, 10, 11, 24.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let k = if cx.opset < 10 { cx.int("k", 0) } else { cx.known_ints(1)?.first().copied().unwrap_or(0) };
    let axis = cx.axis(cx.int("axis", -1), shape.len())?;
    let largest = cx.int("largest", 1) != 0;
    cx.ignore(&["sorted"]);
    let size = shape.at(axis)?;
    let Some(k) = usize::try_from(k).ok().filter(|&k| k <= size) else {
        return invalid(format!("{k} elements of {size}"));
    };
    let place = arange(cx, DType::I64, &shape, axis)?;
    let direction = if largest { Direction::Gt } else { Direction::Lt };
    let sorted = cx.sort(&[x, place], axis, true, |b, a| match *a {
        [first, second, ..] => b.compare(first, second, direction),
        _ => b.compare(x, x, direction),
    })?;
    let cut = |x: Value| cx.slice_dim(x, axis, 0, k);
    Ok(vec![cut(sorted.at(0)?)?.into(), cut(sorted.at(1)?)?.into()])
}
