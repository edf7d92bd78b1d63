//! `DepthToSpace`: channels moved into blocks of space.
//!
//! <https://onnx.ai/onnx/operators/onnx__DepthToSpace.html>
//! Versions: 1, 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let &[n, c, h, w] = &cx.dims(x)[..] else { return invalid("the input has four dimensions") };
    let b = usize::try_from(cx.int("blocksize", 0)).unwrap_or(0);
    let depth = b.checked_mul(b).and_then(|block| c.checked_div(block)).unwrap_or(0);
    if depth == 0 || depth * b * b != c {
        return invalid(format!("{c} channels in blocks of {b}"));
    }
    let y = if cx.string("mode", "DCR") == "DCR" {
        cx.transpose(cx.reshaped(x, [n, b, b, depth, h, w])?, &[0, 3, 4, 1, 5, 2])?
    } else {
        cx.transpose(cx.reshaped(x, [n, depth, b, b, h, w])?, &[0, 1, 4, 2, 5, 3])?
    };
    one(cx.reshaped(y, [n, depth, h * b, w * b])?)
}
