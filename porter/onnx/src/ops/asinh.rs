//! `Asinh`: inverse hyperbolic sine.
//!
//! <https://onnx.ai/onnx/operators/onnx__Asinh.html>
//! Versions: 9, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| {
        let size = b.abs(x)?;
        let root = b.sqrt(b.add_scalar(b.multiply(x, x)?, 1.0)?)?;
        b.multiply(b.sign(x)?, b.log(b.add(size, root)?)?)
    })
}
