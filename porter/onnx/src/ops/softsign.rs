//! `Softsign`: `x / (1 + |x|)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Softsign.html>
//! Versions: 1, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| b.divide(x, b.add_scalar(b.abs(x)?, 1.0)?))
}
