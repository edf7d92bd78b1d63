//! `IsInf`: whether an element is infinite.
//!
//! <https://onnx.ai/onnx/operators/onnx__IsInf.html>
//! Versions: 10, 20.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let (negative, positive) = (cx.int("detect_negative", 1) != 0, cx.int("detect_positive", 1) != 0);
    let x = cx.cast(x, cx.wide(cx.dtype(x)))?;
    let above = cx.is(x, Direction::Eq, f64::INFINITY)?;
    let below = cx.is(x, Direction::Eq, f64::NEG_INFINITY)?;
    one(match (negative, positive) {
        (true, true) => cx.or(above, below)?,
        (true, false) => below,
        (false, true) => above,
        (false, false) => cx.full_like(above, 0.0)?,
    })
}
