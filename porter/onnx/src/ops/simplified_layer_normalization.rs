//! `SimplifiedLayerNormalization`: RMS normalisation, which ONNX Runtime had before ONNX.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.SimplifiedLayerNormalization>
//! Versions: 1 of `com.microsoft`. It is written with ONNX's own domain.

use crate::{
    contrib::{inverse_rms, rms_normed},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, epsilon) = (cx.x(0)?, cx.float("epsilon", 1e-5));
    cx.ignore(&["stash_type"]);
    let axis = cx.axis(cx.int("axis", -1), cx.rank(x))?;
    if axis + 1 != cx.rank(x) {
        return unsupported(format!("axis {axis}, expected the last"));
    }
    let y = rms_normed(cx, x, cx.x(1)?, epsilon)?;
    let inverse = if cx.wants(1) { inverse_rms(cx, x, epsilon)?.into() } else { Item::Absent };
    Ok(vec![y.into(), inverse])
}
