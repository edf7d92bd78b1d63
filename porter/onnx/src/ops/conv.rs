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
    let spatial = Spatial::read(cx, shape.part(2..)?, kernel.part(2..)?.to_vec())?;
    let slides = sliding(shape.part(2..)?, &spatial);
    let kept = |sizes: &[usize]| -> Result<Vec<usize>, Fault> {
        [0, 1].into_iter().chain(slides.iter().map(|&d| 2 + d)).map(|d| sizes.at(d)).collect()
    };
    let mut op = Convolution::plain(slides.len(), dtype);
    op.window.strides = slides.iter().map(|&d| spatial.strides.at(d)).collect::<Result<_, _>>()?;
    op.window.padding = slides.iter().map(|&d| spatial.pads.at(d)).collect::<Result<_, _>>()?;
    op.window.window_dilations = slides.iter().map(|&d| spatial.dilations.at(d)).collect::<Result<_, _>>()?;
    op.feature_groups = usize::try_from(cx.int("group", 1)).unwrap_or(0);
    let y = cx.convolution(op, cx.reshaped(x, kept(&shape)?)?, cx.reshaped(w, kept(&kernel)?)?)?;
    let small = cx.dims(y);
    let mut whole = small.part(..2)?.to_vec();
    whole.resize(shape.len(), 1);
    for (i, &d) in slides.iter().enumerate() {
        *whole.slot(2 + d)? = small.at(2 + i)?;
    }
    cx.reshaped(y, whole)
}

/// The spatial dimensions that the kernel slides along. Those of size 1 under a kernel of size 1 are left out where
/// another is there: XLA's CPU backend takes 20 times as long over `[n, c, h, 1]` as over `[n, c, h]`, and exporters
/// write one-dimensional convolutions so.
fn sliding(sizes: &[usize], spatial: &Spatial) -> Vec<usize> {
    let flat = sizes.iter().zip(&spatial.kernel).zip(&spatial.pads).map(|sizes| sizes == ((&1, &1), &(0, 0)));
    let slides: Vec<usize> = flat.enumerate().filter(|(_, flat)| !flat).map(|(d, _)| d).collect();
    if slides.is_empty() { (0..sizes.len()).collect() } else { slides }
}
