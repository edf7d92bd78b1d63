//! `Upsample`: the older resize: nearest or linear.
//!
//! <https://onnx.ai/onnx/operators/onnx__Upsample.html>
//! Versions: 1, 7, 9, 10.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let scales = match cx.opset {
        ..7 => match (cx.floats("scales"), cx.float_opt("height_scale"), cx.float_opt("width_scale")) {
            (Some(scales), ..) => scales,
            (_, Some(height), Some(width)) => vec![1.0, 1.0, height, width],
            _ => return invalid("has no scales"),
        },
        7..9 => cx.floats("scales").unwrap_or_default(),
        _ => cx.known(cx.x(1)?)?.to_floats(),
    };
    let mode = cx.string("mode", "nearest");
    crate::ops::resize::scaled(cx, x, &scales, &mode)
}
