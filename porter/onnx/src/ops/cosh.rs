//! `Cosh`: hyperbolic cosine.
//!
//! <https://onnx.ai/onnx/operators/onnx__Cosh.html>
//! Versions: 9, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| {
        let (up, down) = (b.exponential(x)?, b.exponential(b.negate(x)?)?);
        b.multiply_scalar(b.add(up, down)?, 0.5)
    })
}
