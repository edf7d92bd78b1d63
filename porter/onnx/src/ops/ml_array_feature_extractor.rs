//! `ArrayFeatureExtractor`: elements of the last dimension.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxml_ArrayFeatureExtractor.html>
//! Versions: 1.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, indices) = (cx.x(0)?, cx.x(1)?);
    let x = if cx.rank(x) == 1 { cx.reshaped(x, [1, cx.dims(x).at(0)?])? } else { x };
    let indices = cx.reshaped(indices, [cx.shape(indices).elements()])?;
    one(crate::ops::gather::gather(cx, x, indices, cx.rank(x) - 1)?)
}
