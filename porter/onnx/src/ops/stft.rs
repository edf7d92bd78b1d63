//! `STFT`: transforms of frames of a signal.
//!
//! <https://onnx.ai/onnx/operators/onnx__STFT.html>
//! Versions: 17.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let x = if cx.rank(x) == 2 { cx.reshaped(x, [cx.dims(x).at(0)?, cx.dims(x).at(1)?, 1])? } else { x };
    let &[batch, length, parts] = &cx.dims(x)[..] else { return invalid("the signal has three dimensions") };
    let step = usize::try_from(cx.known_ints(1)?.first().copied().unwrap_or(0)).unwrap_or(0);
    let window = cx.opt(2)?;
    let frame = match (cx.opt_ints(3)?.and_then(|f| f.first().copied()), window) {
        (Some(frame), _) => usize::try_from(frame).unwrap_or(0),
        (None, Some(window)) => cx.dims(window).at(0)?,
        (None, None) => return invalid("has neither a window nor a frame length"),
    };
    if step == 0 || frame == 0 || frame > length {
        return invalid(format!("frames of {frame} every {step} in {length}"));
    }
    let onesided = cx.int("onesided", 1) != 0;
    let mut frames = Vec::new();
    for start in (0..=length - frame).step_by(step) {
        frames.push(cx.slice_dim(x, 1, start, start + frame)?);
    }
    let mut frames = stack(cx, &frames, 1)?;
    if let Some(window) = window {
        let shape = cx.dims(frames);
        frames = cx.multiply(frames, spread_axis(cx, window, &shape, 2)?)?;
    }
    let _ = (batch, parts);
    one(crate::ops::dft::transform(cx, frames, 2, frame, false, onesided)?)
}
