//! `Reshape`: the same elements in another shape; 0 copies a size, -1 is what is left.
//!
//! <https://onnx.ai/onnx/operators/onnx__Reshape.html>
//! Versions: 1, 5, 13, 14, 19, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let item = cx.item(0).clone();
    let x = match item {
        Item::Carried(value, _) => value,
        _ => cx.x(0)?,
    };
    let from = cx.dims(x);
    let to = if cx.opset < 5 { cx.ints("shape").unwrap_or_default() } else { cx.known_ints(1)? };
    let zero = cx.int("allowzero", 0) != 0;
    let mut shape: Vec<i64> = Vec::with_capacity(to.len());
    for (i, &d) in to.iter().enumerate() {
        match from.get(i) {
            Some(&size) if d == 0 && !zero => shape.push(size as i64),
            None if d == 0 && !zero => return invalid(format!("shape {to:?} copies a size that {from:?} lacks")),
            _ => shape.push(d),
        }
    }
    if let Some(free) = shape.iter().position(|&d| d == -1) {
        let sizes = shape.iter().filter(|&&d| d != -1);
        let Some(rest) = sizes.copied().try_fold(1_i64, i64::checked_mul) else {
            return invalid(format!("shape {to:?} of {from:?}"));
        };
        let count = cx.shape(x).elements() as i64;
        *shape.slot(free)? = count.checked_div(rest).unwrap_or(0);
    }
    let shape = crate::ops::constant_of_shape::sizes(&shape)?;
    let y = cx.reshaped(x, shape)?;
    Ok(vec![if let Item::Carried(_, ty) = item { Item::Carried(y, ty) } else { y.into() }])
}
