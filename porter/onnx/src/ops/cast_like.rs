//! `CastLike`: the element type of another tensor.
//!
//! <https://onnx.ai/onnx/operators/onnx__CastLike.html>
//! Versions: 15, 19, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["round_mode"]);
    let ty = cx.data_type(1)?;
    crate::ops::cast::convert(cx, ty)
}
