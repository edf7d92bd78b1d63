//! `Conv`: convolution of batches of channels.
//!
//! <https://onnx.ai/onnx/operators/onnx__Conv.html>
//! Versions: 1, 11, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, w) = (cx.x(0)?, cx.x(1)?);
    let y = convolved(cx, x, w, cx.dtype(x))?;
    match cx.opt(2)? {
        Some(bias) => one(cx.add(y, spread_axis(cx, bias, &cx.dims(y), 1)?)?),
        None => one(y),
    }
}

/// The convolution of `x` and `w` by the node's attributes, accumulated in `dtype`.
pub(crate) fn convolved(cx: &Cx<'_, '_>, x: Value, w: Value, dtype: DType) -> One {
    let (shape, kernel) = (cx.dims(x), cx.dims(w));
    if shape.len() < 2 || shape.len() != kernel.len() {
        return invalid(format!("a kernel of {kernel:?} over {shape:?}"));
    }
    cx.ignore(&["kernel_shape"]);
    let spatial = Spatial::read(cx, &shape[2..], kernel[2..].to_vec())?;
    let mut op = Convolution::plain(shape.len() - 2, dtype);
    op.window.strides = spatial.strides;
    op.window.padding = spatial.pads;
    op.window.window_dilations = spatial.dilations;
    op.feature_groups = usize::try_from(cx.int("group", 1)).unwrap_or(0);
    Ok(cx.convolution(op, x, w)?)
}
