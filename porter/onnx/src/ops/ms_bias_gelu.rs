//! `BiasGelu`: the Gelu of a sum.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.BiasGelu>
//! Versions: 1 of `com.microsoft`.

use crate::help::prelude::*;
use crate::recognise::composites::Activation;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.pair(cx.x(0)?, cx.x(1)?, Builder::add)?;
    one(Activation::Gelu.apply(&cx.builder, x)?)
}
