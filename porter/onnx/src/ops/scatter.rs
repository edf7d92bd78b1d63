//! `Scatter`: the older name of `ScatterElements`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Scatter.html>
//! Versions: 9, 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    crate::ops::scatter_elements::lower(cx)
}
