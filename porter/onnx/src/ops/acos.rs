//! `Acos`: arc cosine.
//!
//! <https://onnx.ai/onnx/operators/onnx__Acos.html>
//! Versions: 7, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let one_ = cx.full_like(x, 1.0)?;
    let root = cx.sqrt(cx.multiply(cx.subtract(one_, x)?, cx.add(one_, x)?)?)?;
    one(cx.atan2(root, x)?)
}
