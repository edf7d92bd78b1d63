//! `Sinh`: hyperbolic sine.
//!
//! <https://onnx.ai/onnx/operators/onnx__Sinh.html>
//! Versions: 9, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| {
        let (up, down) = (b.exponential(x)?, b.exponential(b.negate(x)?)?);
        b.multiply_scalar(b.subtract(up, down)?, 0.5)
    })
}
