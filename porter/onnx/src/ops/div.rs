//! `Div`: quotient, broadcast; of integers towards zero.
//!
//! <https://onnx.ai/onnx/operators/onnx__Div.html>
//! Versions: 1, 6, 7, 13, 14.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    binary(cx, Builder::divide)
}
