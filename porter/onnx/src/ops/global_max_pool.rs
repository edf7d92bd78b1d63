//! `GlobalMaxPool`: the largest over space.
//!
//! <https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html>
//! Versions: 1, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let dims: Vec<usize> = (2..cx.rank(x)).collect();
    one(cx.reshaped(cx.fold(x, &dims, Fold::Max)?, keep_dims(cx, x, &dims))?)
}
