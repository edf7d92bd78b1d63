//! `BlackmanWindow`: two cosines, of a size known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__BlackmanWindow.html>
//! Versions: 17.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    crate::ops::hann_window::window(cx, [0.42, 0.5, 0.08])
}
