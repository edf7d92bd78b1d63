//! `QLinearSigmoid`: the sigmoid of a quantised tensor.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearSigmoid>
//! Versions: 1 of `com.microsoft`.

use crate::{
    contrib::{narrowed, real},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = real(cx, [0, 1, 2], None)?;
    narrowed(cx, cx.logistic(x)?, [3, 4], cx.dtype(cx.x(0)?))
}
