//! `Selu`: scaled exponential linear unit.
//!
//! <https://onnx.ai/onnx/operators/onnx__Selu.html>
//! Versions: 1, 6, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let (x, alpha, gamma) = (cx.x(0)?, cx.float("alpha", 1.673_263_2), cx.float("gamma", 1.050_701));
    let below = cx.with(cx.exponential_minus_one(x)?, alpha, Builder::multiply)?;
    let y = cx.select(cx.is(x, Direction::Le, 0.0)?, below, x)?;
    one(cx.with(y, gamma, Builder::multiply)?)
}
