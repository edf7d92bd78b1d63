//! `FusedGemm`: `Gemm` and an activation.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedGemm>
//! Versions: 1 of `com.microsoft`. Activations: `Relu`, `Sigmoid`, `Tanh`, `LeakyRelu`, `Clip`, `HardSigmoid`.

use crate::{contrib::activation, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let y = crate::ops::gemm::lower(cx)?;
    let Some(&Item::Tensor(y)) = y.first() else { return invalid("has no output") };
    let names = ["activation_alpha", "activation_beta", "activation_gamma"];
    let parameters: Vec<f64> = names.iter().map_while(|&name| cx.float_opt(name)).collect();
    one(activation(cx, &cx.string("activation", ""), &parameters, y)?)
}
