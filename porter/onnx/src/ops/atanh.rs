//! `Atanh`: inverse hyperbolic tangent.
//!
//! <https://onnx.ai/onnx/operators/onnx__Atanh.html>
//! Versions: 9, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| {
        let (up, down) = (b.log_plus_one(x)?, b.log_plus_one(b.negate(x)?)?);
        b.multiply_scalar(b.subtract(up, down)?, 0.5)
    })
}
