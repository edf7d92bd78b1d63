//! `Log`: natural logarithm.
//!
//! <https://onnx.ai/onnx/operators/onnx__Log.html>
//! Versions: 1, 6, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    unary(cx, Builder::log)
}
