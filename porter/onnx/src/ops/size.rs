//! `Size`: the number of elements, as a constant.
//!
//! <https://onnx.ai/onnx/operators/onnx__Size.html>
//! Versions: 1, 13, 19, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let count = cx.shape(cx.x(0)?).elements() as i64;
    one(cx.reshaped(cx.constant_ints(&[count])?, [])?)
}
