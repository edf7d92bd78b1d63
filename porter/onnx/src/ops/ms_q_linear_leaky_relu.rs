//! `QLinearLeakyRelu`: the leaky Relu of a quantised tensor.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearLeakyRelu>
//! Versions: 1 of `com.microsoft`.

use crate::{
    contrib::{activation, narrowed, real},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = real(cx, [0, 1, 2], None)?;
    let y = activation(cx, "LeakyRelu", &[cx.float("alpha", 0.01)], x)?;
    narrowed(cx, y, [3, 4], cx.dtype(cx.x(0)?))
}
