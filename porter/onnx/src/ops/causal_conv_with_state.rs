//! `CausalConvWithState`: a depthwise convolution over the past, with its state.
//!
//! <https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html>
//! Versions: 27.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, w) = (cx.x(0)?, cx.x(1)?);
    let (&[batch, channels, length], &[_, _, k]) = (&cx.dims(x)[..], &cx.dims(w)[..]) else {
        return invalid("input and kernel have three dimensions");
    };
    let state = match cx.opt(3)? {
        Some(state) => cx.cast(state, cx.dtype(x))?,
        None => cx.full(TensorType::new(cx.dtype(x), [batch, channels, k.saturating_sub(1)]), 0.0)?,
    };
    let padded = cx.concatenate(&[state, x], 2)?;
    let wide = cx.wide(cx.dtype(x));
    let mut op = Convolution::plain(1, wide);
    op.feature_groups = channels;
    let mut y = cx.convolution(op, cx.cast(padded, wide)?, cx.cast(w, wide)?)?;
    if let Some(bias) = cx.opt(2)? {
        y = cx.add(y, spread_axis(cx, cx.cast(bias, wide)?, &cx.dims(y), 1)?)?;
    }
    match &*cx.string("activation", "none") {
        "none" => {}
        "silu" | "swish" => y = cx.multiply(y, cx.logistic(y)?)?,
        other => return invalid(format!("activation {other:?}")),
    }
    let more = k.saturating_sub(1);
    Ok(vec![cx.cast(y, cx.dtype(x))?.into(), cx.slice_dim(padded, 2, length, length.saturating_add(more))?.into()])
}
