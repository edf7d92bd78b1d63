//! `QuickGelu`: `x` times the sigmoid of `alpha x`.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QuickGelu>
//! Versions: 1 of `com.microsoft`.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let line = cx.with(x, cx.float("alpha", 1.702), Builder::multiply)?;
    one(cx.multiply(x, cx.logistic(line)?)?)
}
