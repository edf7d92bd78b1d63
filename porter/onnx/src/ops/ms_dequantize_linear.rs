//! `DequantizeLinear`: ONNX's operator of the same name.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.DequantizeLinear>
//! Versions: 1 of `com.microsoft`.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    crate::ops::dequantize_linear::lower(cx)
}
