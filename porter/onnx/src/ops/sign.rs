//! `Sign`: -1, 0 or 1.
//!
//! <https://onnx.ai/onnx/operators/onnx__Sign.html>
//! Versions: 9, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| {
        if b.dtype(x).kind() != Kind::Unsigned {
            return b.sign(x);
        }
        let one = b.full_like(x, 1.0)?;
        b.minimum(x, one)
    })
}
