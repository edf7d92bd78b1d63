//! `HammingWindow`: a raised cosine on a pedestal, of a size known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__HammingWindow.html>
//! Versions: 17.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    crate::ops::hann_window::window(cx, [25.0 / 46.0, 21.0 / 46.0, 0.0])
}
