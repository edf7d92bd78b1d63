//! `Slice`: a part of each dimension, in steps, whose bounds are known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__Slice.html>
//! Versions: 1, 10, 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let mut x = cx.x(0)?;
    let (starts, ends, axes, steps) = if cx.opset < 10 {
        (cx.ints("starts").unwrap_or_default(), cx.ints("ends").unwrap_or_default(), cx.ints("axes"), None)
    } else {
        (cx.known_ints(1)?, cx.known_ints(2)?, cx.opt_ints(3)?, cx.opt_ints(4)?)
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()].iter().any(|&n| n != starts.len()) || steps.contains(&0) {
        return invalid("starts, ends, axes and steps differ in number, or a step is 0");
    }
    for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
        let axis = cx.axis(axis, cx.rank(x))?;
        let size = cx.dims(x).at(axis)? as i64;
        let wrap = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let start = wrap(start).clamp(low.max(0), high.max(0));
        let end = wrap(end).clamp(low, high);
        let span = i128::from(if step > 0 { end - start } else { start - end });
        let count = (span + i128::from(step.unsigned_abs()) - 1).div_euclid(i128::from(step.unsigned_abs()));
        let count = usize::try_from(count).unwrap_or(0).min(size as usize);
        x = step_slice(cx, x, axis, start as usize, step, count)?;
    }
    one(x)
}
