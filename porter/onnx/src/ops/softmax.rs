//! `Softmax`: exponentials that sum to 1; up to version 12 over all dimensions from `axis` on.
//!
//! <https://onnx.ai/onnx/operators/onnx__Softmax.html>
//! Versions: 1, 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    one(softmax(cx, x, &dims(cx, x)?)?)
}

/// The dimensions that a version of softmax goes over.
pub(crate) fn dims(cx: &Cx<'_, '_>, x: Value) -> Result<Vec<usize>, Fault> {
    let rank = cx.rank(x);
    if cx.opset < 13 {
        let axis = cx.axis(cx.int("axis", 1), rank)?;
        return Ok((axis..rank).collect());
    }
    Ok(vec![cx.axis(cx.int("axis", -1), rank)?])
}
