//! `LayerNormalization`: the dimensions from `axis` on normalised.
//!
//! <https://onnx.ai/onnx/operators/onnx__LayerNormalization.html>
//! Versions: 17.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    cx.ignore(&["stash_type"]);
    let axis = cx.axis(cx.int("axis", -1), shape.len())?;
    let wide = cx.cast(x, cx.wide(cx.dtype(x)))?;
    let dims: Vec<usize> = (axis..shape.len()).collect();
    let [unit, average, inverse] = normalize(cx, wide, &dims, cx.float("epsilon", 1e-5))?;
    let mut y = cx.multiply(cx.cast(unit, cx.dtype(x))?, cx.spread(cx.x(1)?, &shape)?)?;
    if let Some(bias) = cx.opt(2)? {
        y = cx.add(y, cx.spread(bias, &shape)?)?;
    }
    Ok(vec![y.into(), average.into(), inverse.into()])
}
