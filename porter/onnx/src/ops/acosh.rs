//! `Acosh`: inverse hyperbolic cosine.
//!
//! <https://onnx.ai/onnx/operators/onnx__Acosh.html>
//! Versions: 9, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| {
        let root = b.sqrt(b.add_scalar(b.multiply(x, x)?, -1.0)?)?;
        b.log(b.add(x, root)?)
    })
}
