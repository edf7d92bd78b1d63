//! `Softsign`: `x / (1 +.
//!
//! <https://onnx.ai/onnx/operators/onnx__Softsign.html>
//! Versions: 1, 22.
//! Limits: x.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| b.divide(x, b.add_scalar(b.abs(x)?, 1.0)?))
}
