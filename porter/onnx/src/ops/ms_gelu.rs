//! `Gelu`: `x` times the normal distribution below it.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Gelu>
//! Versions: 1 of `com.microsoft`.

use crate::help::prelude::*;
use crate::recognise::composites::Activation;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    one(Activation::Gelu.apply(&cx.builder, cx.x(0)?)?)
}
