//! `SkipSimplifiedLayerNormalization`: a sum, and its RMS normalisation.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.SkipSimplifiedLayerNormalization>
//! Versions: 1 of `com.microsoft`. Outputs mean and deviation are not computed.

use crate::{contrib::rms_normed, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let mut x = cx.pair(cx.x(0)?, cx.x(1)?, Builder::add)?;
    if let Some(bias) = cx.opt(3)? {
        x = cx.pair(x, bias, Builder::add)?;
    }
    if cx.wants(1) || cx.wants(2) {
        return unsupported("its outputs 1 and 2, mean and deviation");
    }
    let y = rms_normed(cx, x, cx.x(2)?, cx.float("epsilon", 1e-12))?;
    Ok(vec![y.into(), Item::Absent, Item::Absent, x.into()])
}
