//! `Unsqueeze`: sizes of 1 put in.
//!
//! <https://onnx.ai/onnx/operators/onnx__Unsqueeze.html>
//! Versions: 1, 11, 13, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let Some(axes) = cx.ints_or_input("axes", 1)? else { return invalid("has no axes") };
    let shape = cx.dims(x);
    let rank = shape.len() + axes.len();
    let dims = cx.axes(&axes, rank)?;
    let mut kept = shape.into_iter();
    let mut sizes = Vec::with_capacity(rank);
    for i in 0..rank {
        sizes.push(if dims.contains(&i) { 1 } else { kept.next().unwrap_or(1) });
    }
    one(cx.reshaped(x, sizes)?)
}
