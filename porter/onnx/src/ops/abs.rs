//! `Abs`: magnitude.
//!
//! <https://onnx.ai/onnx/operators/onnx__Abs.html>
//! Versions: 1, 6, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, |b, x| if b.dtype(x).kind() == Kind::Unsigned { Ok(x) } else { b.abs(x) })
}
