//! `HardSigmoid`: `alpha * x + beta`, between 0 and 1.
//!
//! <https://onnx.ai/onnx/operators/onnx__HardSigmoid.html>
//! Versions: 1, 6, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let (x, alpha, beta) = (cx.x(0)?, cx.float("alpha", 0.2), cx.float("beta", 0.5));
    let line = cx.with(cx.with(x, alpha, Builder::multiply)?, beta, Builder::add)?;
    one(cx.with(cx.with(line, 0.0, Builder::maximum)?, 1.0, Builder::minimum)?)
}
