//! `CumSum`: running sums along a dimension.
//!
//! <https://onnx.ai/onnx/operators/onnx__CumSum.html>
//! Versions: 11, 14.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    crate::ops::cum_prod::running(cx, Fold::Sum)
}
