//! `Transpose`: dimensions in another order, reversed by default.
//!
//! <https://onnx.ai/onnx/operators/onnx__Transpose.html>
//! Versions: 1, 13, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let item = cx.item(0).clone();
    let x = match item {
        Item::Carried(value, _) => value,
        _ => cx.x(0)?,
    };
    let rank = cx.rank(x);
    let permutation = match cx.ints("perm") {
        Some(perm) => cx.axes(&perm, rank)?,
        None => (0..rank).rev().collect(),
    };
    let y = permuted(cx, x, &permutation)?;
    Ok(vec![if let Item::Carried(_, ty) = item { Item::Carried(y, ty) } else { y.into() }])
}
