//! `MatMul`: the matrix product of `numpy.matmul`.
//!
//! <https://onnx.ai/onnx/operators/onnx__MatMul.html>
//! Versions: 1, 9, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    one(matmul(cx, cx.x(0)?, cx.x(1)?, cx.dtype(cx.x(0)?))?)
}
