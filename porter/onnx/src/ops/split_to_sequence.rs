//! `SplitToSequence`: a sequence of parts along a dimension, of sizes known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__SplitToSequence.html>
//! Versions: 11, 24.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let axis = cx.axis(cx.int("axis", 0), cx.rank(x))?;
    let size = cx.dims(x).at(axis)?;
    unrolled(size)?;
    let keep = cx.int("keepdims", 1) != 0;
    let (parts, single) = match cx.opt(1)? {
        None => (vec![1; size], !keep),
        Some(split) => {
            let given = crate::ops::constant_of_shape::sizes(&cx.known_ints(1)?)?;
            match (cx.rank(split), given.first()) {
                (0, Some(&each)) if each > 0 => {
                    ((0..size.div_ceil(each)).map(|i| each.min(size - i * each)).collect(), false)
                }
                _ => (given, false),
            }
        }
    };
    if parts.iter().sum::<usize>() != size {
        return invalid(format!("parts {parts:?} of {size}"));
    }
    let mut start = 0;
    let mut items = Vec::new();
    for part in parts {
        let slice = cx.slice_dim(x, axis, start, start + part)?;
        let mut shape = cx.dims(slice);
        if single {
            shape.remove(axis);
        }
        items.push(cx.reshaped(slice, shape)?.into());
        start += part;
    }
    Ok(vec![Item::Sequence(items)])
}
