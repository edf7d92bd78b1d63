//! `QAttention`: `Attention` of quantised inputs and weights.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QAttention>
//! Versions: 1 of `com.microsoft`.

use crate::{contrib::real, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = real(cx, [0, 3, 6], None)?;
    let weights = real(cx, [1, 4, 7], Some(1))?;
    let projected = cx.pair(matmul(cx, x, weights, DType::F32)?, cx.x(2)?, Builder::add)?;
    crate::ops::ms_attention::attended(cx, projected, cx.opt(5)?, cx.opt(8)?, None)
}
