//! `Erf`: error function.
//!
//! <https://onnx.ai/onnx/operators/onnx__Erf.html>
//! Versions: 9, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::erf)
}
