//! `CumProd`: running products along a dimension.
//!
//! <https://onnx.ai/onnx/operators/onnx__CumProd.html>
//! Versions: 26.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    running(cx, Fold::Product)
}

pub(crate) fn running(cx: &Cx<'_, '_>, fold: Fold) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let axis = cx.known_ints(1)?.first().copied().unwrap_or(0);
    let axis = cx.axis(axis, shape.len())?;
    let (size, exclusive) = (shape.at(axis)? as i64, i64::from(cx.int("exclusive", 0) != 0));
    let mut window = Window::plain(shape.len());
    let sizes = one_axis(shape.len(), axis, shape.at(axis)?.max(1));
    *window.padding.slot(axis)? =
        if cx.int("reverse", 0) != 0 { (-exclusive, size - 1 + exclusive) } else { (size - 1 + exclusive, -exclusive) };
    one(cx.fold_windows(x, &sizes, window, fold)?)
}
