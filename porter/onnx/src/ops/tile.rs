//! `Tile`: repeated along each dimension as often as is known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__Tile.html>
//! Versions: 1, 6, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let repeats = if cx.opset < 6 {
        let (tiles, axis) = (cx.known_ints(1)?, cx.known_ints(2)?);
        let mut repeats = vec![1; cx.rank(x)];
        let axis = cx.axis(axis.first().copied().unwrap_or(0), repeats.len())?;
        *repeats.slot(axis)? = tiles.first().copied().unwrap_or(1);
        repeats
    } else {
        cx.known_ints(1)?
    };
    let repeats = crate::ops::constant_of_shape::sizes(&repeats)?;
    let shape = cx.dims(x);
    if repeats.len() != shape.len() {
        return invalid(format!("{} repeats of {} dimensions", repeats.len(), shape.len()));
    }
    let (mut wide, mut dims) = (Vec::new(), Vec::new());
    for (i, (&size, &times)) in shape.iter().zip(&repeats).enumerate() {
        wide.extend([times, size]);
        dims.push(2 * i + 1);
    }
    let y = cx.broadcast_in_dim(x, wide, &dims)?;
    one(cx.reshaped(y, shape.iter().zip(&repeats).map(|(&a, &b)| a.saturating_mul(b)).collect::<Vec<_>>())?)
}
