//! `BitCast`: the same bits as another element type of the same width.
//!
//! <https://onnx.ai/onnx/operators/onnx__BitCast.html>
//! Versions: 26.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let to = crate::ops::cast::target(cx.int("to", 0))?;
    if to == DType::Bool || cx.dtype(x) == DType::Bool {
        if to.bits() > 8 || cx.dtype(x).bits() > 8 {
            return invalid(format!("{} bits as {to}", cx.dtype(x)));
        }
        return one(cx.cast(x, to)?);
    }
    one(if to == cx.dtype(x) { x } else { cx.bitcast_convert(x, to)? })
}
