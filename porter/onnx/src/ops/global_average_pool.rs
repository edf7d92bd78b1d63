//! `GlobalAveragePool`: the mean over space.
//!
//! <https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html>
//! Versions: 1, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    one(mean(cx, x, &(2..cx.rank(x)).collect::<Vec<_>>())?)
}
