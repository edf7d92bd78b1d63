//! `SpaceToDepth`: blocks of space moved into channels.
//!
//! <https://onnx.ai/onnx/operators/onnx__SpaceToDepth.html>
//! Versions: 1, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let &[n, c, h, w] = &cx.dims(x)[..] else { return invalid("the input has four dimensions") };
    let b = usize::try_from(cx.int("blocksize", 0)).unwrap_or(0);
    if b == 0 || h % b != 0 || w % b != 0 {
        return invalid(format!("{h} by {w} in blocks of {b}"));
    }
    let y = cx.transpose(cx.reshaped(x, [n, c, h / b, b, w / b, b])?, &[0, 3, 5, 1, 2, 4])?;
    one(cx.reshaped(y, [n, c * b * b, h / b, w / b])?)
}
