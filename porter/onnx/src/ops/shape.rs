//! `Shape`: the shape, as a constant.
//!
//! <https://onnx.ai/onnx/operators/onnx__Shape.html>
//! Versions: 1, 13, 15, 19, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = match cx.item(0) {
        Item::Carried(value, _) => *value,
        _ => cx.x(0)?,
    };
    let shape: Vec<i64> = cx.dims(x).iter().map(|&d| d as i64).collect();
    let rank = shape.len() as i64;
    let bound = |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (bound(cx.int("start", 0)), bound(cx.int("end", rank)));
    one(cx.constant_ints(shape.get(start..end).unwrap_or_default())?)
}
