//! `HardSwish`: `x * HardSigmoid(x, 1/6, 0.5)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__HardSwish.html>
//! Versions: 14, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let line = cx.with(cx.with(x, 1.0 / 6.0, Builder::multiply)?, 0.5, Builder::add)?;
    let gate = cx.with(cx.with(line, 0.0, Builder::maximum)?, 1.0, Builder::minimum)?;
    one(cx.multiply(x, gate)?)
}
