//! `Celu`: `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Celu.html>
//! Versions: 12.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, alpha) = (cx.x(0)?, cx.float("alpha", 1.0));
    let inner = cx.exponential_minus_one(cx.with(x, alpha, Builder::divide)?)?;
    let below = cx.with(cx.with(inner, alpha, Builder::multiply)?, 0.0, Builder::minimum)?;
    one(cx.add(cx.with(x, 0.0, Builder::maximum)?, below)?)
}
