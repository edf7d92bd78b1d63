//! `AveragePool`: the mean of each window.
//!
//! <https://onnx.ai/onnx/operators/onnx__AveragePool.html>
//! Versions: 1, 7, 10, 11, 19, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let (spatial, pads) = crate::ops::max_pool::windows(cx, &shape)?;
    let (sizes, window) = spatial.window(&pads);
    let wide = cx.cast(x, cx.wide(cx.dtype(x)))?;
    let total = cx.fold_windows(wide, &sizes, window.clone(), Fold::Sum)?;
    // How many elements each window holds: those of the input, and the given padding where it counts.
    let mut ones = cx.full_like(wide, 1.0)?;
    let mut rest = window;
    if cx.int("count_include_pad", 0) != 0 {
        let low: Vec<i64> = [0, 0].into_iter().chain(spatial.pads.iter().map(|p| p.0)).collect();
        let high: Vec<i64> = [0, 0].into_iter().chain(spatial.pads.iter().map(|p| p.1)).collect();
        ones = cx.pad(ones, cx.scalar(cx.dtype(wide), 1.0)?, &low, &high, &vec![0; shape.len()])?;
        let left = pads.iter().zip(&spatial.pads).map(|(all, given)| (all.0.saturating_sub(given.0), all.1.saturating_sub(given.1)));
        rest.padding = [(0, 0); 2].into_iter().chain(left).collect();
    }
    let count = cx.fold_windows(ones, &sizes, rest, Fold::Sum)?;
    one(cx.cast(cx.divide(total, count)?, cx.dtype(x))?)
}
