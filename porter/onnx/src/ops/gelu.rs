//! `Gelu`: `x` times the normal distribution below it.
//!
//! <https://onnx.ai/onnx/operators/onnx__Gelu.html>
//! Versions: 20.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let inner = if cx.string("approximate", "none") == "tanh" {
        let cube = cx.multiply(cx.multiply(x, x)?, x)?;
        let line = cx.add(x, cx.with(cube, 0.044_715, Builder::multiply)?)?;
        cx.tanh(cx.with(line, (2.0 / std::f64::consts::PI).sqrt(), Builder::multiply)?)?
    } else {
        cx.erf(cx.with(x, std::f64::consts::FRAC_1_SQRT_2, Builder::multiply)?)?
    };
    let gate = cx.with(cx.with(inner, 1.0, Builder::add)?, 0.5, Builder::multiply)?;
    one(cx.multiply(x, gate)?)
}
