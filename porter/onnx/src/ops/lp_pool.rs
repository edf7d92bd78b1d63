//! `LpPool`: the p-norm of each window.
//!
//! <https://onnx.ai/onnx/operators/onnx__LpPool.html>
//! Versions: 1, 2, 11, 18, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let p = if cx.opset < 2 { cx.float("p", 2.0) } else { cx.int("p", 2) as f64 };
    let (spatial, pads) = crate::ops::max_pool::windows(cx, &cx.dims(x))?;
    let (sizes, window) = spatial.window(&pads);
    let powers = cx.with(cx.abs(x)?, p, Builder::power)?;
    one(cx.with(cx.fold_windows(powers, &sizes, window, Fold::Sum)?, 1.0 / p, Builder::power)?)
}
