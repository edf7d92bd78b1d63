//! `RMSNormalization`: the dimensions from `axis` on divided by the root of their mean square.
//!
//! <https://onnx.ai/onnx/operators/onnx__RMSNormalization.html>
//! Versions: 23.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    cx.ignore(&["stash_type"]);
    let axis = cx.axis(cx.int("axis", -1), shape.len())?;
    let wide = cx.cast(x, cx.wide(cx.dtype(x)))?;
    let dims: Vec<usize> = (axis..shape.len()).collect();
    let square = mean(cx, cx.multiply(wide, wide)?, &dims)?;
    let root = cx.sqrt(cx.with(square, cx.float("epsilon", 1e-5), Builder::add)?)?;
    let unit = cx.cast(cx.divide(wide, cx.spread(root, &shape)?)?, cx.dtype(x))?;
    let scale = cx.x(1)?;
    one(cx.multiply(cx.cast(unit, cx.dtype(scale))?, cx.spread(scale, &shape)?)?)
}
