//! `FastGelu`: the tanh approximation of Gelu, of a sum where there is a bias.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FastGelu>
//! Versions: 1 of `com.microsoft`.

use crate::help::prelude::*;
use crate::recognise::composites::Activation;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = match cx.opt(1)? {
        Some(bias) => cx.pair(cx.x(0)?, bias, Builder::add)?,
        None => cx.x(0)?,
    };
    one(Activation::GeluTanh.apply(&cx.builder, x)?)
}
