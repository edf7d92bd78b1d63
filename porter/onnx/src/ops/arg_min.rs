//! `ArgMin`: where the smallest element along a dimension is.
//!
//! <https://onnx.ai/onnx/operators/onnx__ArgMin.html>
//! Versions: 1, 11, 12, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    crate::ops::arg_max::extreme(cx, Fold::Min)
}
