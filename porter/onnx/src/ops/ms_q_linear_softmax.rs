//! `QLinearSoftmax`: the softmax of a quantised tensor.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearSoftmax>
//! Versions: 1 of `com.microsoft`.

use crate::{
    contrib::{narrowed, real},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = real(cx, [0, 1, 2], None)?;
    let axis = cx.axis(cx.int("axis", -1), cx.rank(x))?;
    let dims: Vec<usize> = if cx.int("opset", 13) < 13 { (axis..cx.rank(x)).collect() } else { vec![axis] };
    narrowed(cx, softmax(cx, x, &dims)?, [3, 4], cx.dtype(cx.x(0)?))
}
