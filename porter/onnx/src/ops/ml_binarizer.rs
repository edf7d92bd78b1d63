//! `Binarizer`: 1 above a threshold, else 0.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_Binarizer.html>
//! Versions: 1.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let threshold = cx.float("threshold", 0.0);
    one(cx.cast(cx.is(x, Direction::Gt, threshold)?, cx.dtype(x))?)
}
