//! `Squeeze`: sizes of 1 left out.
//!
//! <https://onnx.ai/onnx/operators/onnx__Squeeze.html>
//! Versions: 1, 11, 13, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let dims = match cx.ints_or_input("axes", 1)? {
        Some(axes) => cx.axes(&axes, shape.len())?,
        None => shape.iter().enumerate().filter(|&(_, &size)| size == 1).map(|(d, _)| d).collect(),
    };
    if let Some(&d) = dims.iter().find(|&&d| shape.get(d) != Some(&1)) {
        return invalid(format!("dimension {d} of {shape:?} is not 1"));
    }
    let kept: Vec<usize> = shape.iter().enumerate().filter(|(d, _)| !dims.contains(d)).map(|(_, &size)| size).collect();
    one(cx.reshaped(x, kept)?)
}
