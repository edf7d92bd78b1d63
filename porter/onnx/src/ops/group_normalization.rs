//! `GroupNormalization`: groups of channels normalised.
//!
//! <https://onnx.ai/onnx/operators/onnx__GroupNormalization.html>
//! Versions: 18, 21.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let groups = usize::try_from(cx.int("num_groups", 0)).unwrap_or(0);
    let stash = DType::F32;
    cx.ignore(&["stash_type"]);
    if shape.len() < 2 || groups == 0 || !shape.at(1)?.is_multiple_of(groups) {
        return invalid(format!("{groups} groups of {shape:?}"));
    }
    let wide = if cx.dtype(x).bits() < 32 { cx.cast(x, stash)? } else { x };
    let rest: usize = elements(shape.part(1..)?) / groups;
    let flat = cx.reshaped(wide, [shape.at(0)?, groups, rest])?;
    let [unit, ..] = normalize(cx, flat, &[2], cx.float("epsilon", 1e-5))?;
    let unit = cx.cast(cx.reshaped(unit, shape.clone())?, cx.dtype(x))?;
    let along = |i: usize| -> One {
        let v = cx.x(i)?;
        let per_group = cx.opset < 21 && cx.shape(v).elements() == groups && groups != shape.at(1)?;
        let v = if per_group {
            let each = shape.at(1)? / groups;
            cx.reshaped(cx.broadcast_in_dim(v, [groups, each], &[0])?, [shape.at(1)?])?
        } else {
            v
        };
        spread_axis(cx, v, &shape, 1)
    };
    one(cx.add(cx.multiply(unit, along(1)?)?, along(2)?)?)
}
