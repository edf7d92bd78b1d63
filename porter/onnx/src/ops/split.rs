//! `Split`: parts along a dimension, of sizes known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__Split.html>
//! Versions: 1, 2, 11, 13, 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let axis = cx.axis(cx.int("axis", 0), cx.rank(x))?;
    let size = cx.dims(x).at(axis)?;
    let parts = if let Some(parts) = cx.ints_or_input("split", 1)? { crate::ops::constant_of_shape::sizes(&parts)? } else {
        let count = usize::try_from(cx.int("num_outputs", 0)).ok().filter(|&n| n > 0).unwrap_or(cx.outputs().max(1));
        unrolled(count)?;
        let each = size.div_ceil(count);
        (0..count).map(|i| each.min(size.saturating_sub(i * each))).collect()
    };
    if parts.iter().sum::<usize>() != size {
        return invalid(format!("parts {parts:?} of dimension {axis}, which has {size}"));
    }
    let mut start = 0;
    let mut outputs = Vec::with_capacity(parts.len());
    for part in parts {
        outputs.push(Item::Tensor(cx.slice_dim(x, axis, start, start + part)?));
        start += part;
    }
    Ok(outputs)
}
