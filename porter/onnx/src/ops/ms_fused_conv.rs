//! `FusedConv`: `Conv`, a tensor added, and an activation.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedConv>
//! Versions: 1 of `com.microsoft`. Activations: `Relu`, `Sigmoid`, `Tanh`, `LeakyRelu`, `Clip`, `HardSigmoid`.

use crate::{contrib::activation, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let mut y = crate::ops::conv::convolved(cx, cx.x(0)?, cx.x(1)?, cx.dtype(cx.x(0)?))?;
    if let Some(bias) = cx.opt(2)? {
        y = cx.add(y, spread_axis(cx, bias, &cx.dims(y), 1)?)?;
    }
    if let Some(more) = cx.opt(3)? {
        y = cx.pair(y, more, Builder::add)?;
    }
    let parameters = cx.floats("activation_params").unwrap_or_default();
    one(activation(cx, &cx.string("activation", ""), &parameters, y)?)
}
