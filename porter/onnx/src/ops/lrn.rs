//! `LRN`: divided by a power of the squares of neighbouring channels.
//!
//! <https://onnx.ai/onnx/operators/onnx__LRN.html>
//! Versions: 1, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let size = cx.int("size", 1);
    let (alpha, beta, bias) = (cx.float("alpha", 0.0001), cx.float("beta", 0.75), cx.float("bias", 1.0));
    let rank = cx.rank(x);
    if rank < 2 || size < 1 {
        return invalid("the input has no channels, or the size is below 1");
    }
    let mut window = Window::plain(rank);
    *window.padding.slot(1)? = ((size - 1) / 2, size - 1 - (size - 1) / 2);
    let squares = cx.fold_windows(cx.multiply(x, x)?, &one_axis(rank, 1, size as usize), window, Fold::Sum)?;
    let line = cx.with(cx.with(squares, alpha / size as f64, Builder::multiply)?, bias, Builder::add)?;
    one(cx.divide(x, cx.with(line, beta, Builder::power)?)?)
}
