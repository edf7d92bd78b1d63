//! `QLinearAdd`: the sum of quantised tensors.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearAdd>
//! Versions: 1 of `com.microsoft`.

use crate::{
    contrib::{narrowed, real},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (a, b) = (real(cx, [0, 1, 2], None)?, real(cx, [3, 4, 5], None)?);
    narrowed(cx, cx.pair(a, b, Builder::add)?, [6, 7], cx.dtype(cx.x(0)?))
}
