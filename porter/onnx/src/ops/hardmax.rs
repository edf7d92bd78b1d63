//! `Hardmax`: 1 at the first largest element, 0 elsewhere.
//!
//! <https://onnx.ai/onnx/operators/onnx__Hardmax.html>
//! Versions: 1, 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let dims = crate::ops::softmax::dims(cx, x)?;
    let (shape, first) = (cx.dims(x), dims.first().copied().unwrap_or(0));
    let mut flat = shape.part(..first)?.to_vec();
    flat.push(elements(shape.part(first..first + dims.len())?));
    flat.extend(shape.part(first + dims.len()..)?);
    let y = cx.reshaped(x, flat.clone())?;
    let kept = keep_dims(cx, y, &[first]);
    let best = cx.spread(cx.reshaped(cx.fold(y, &[first], Fold::Max)?, kept.clone())?, &flat)?;
    let place = arange(cx, DType::I64, &flat, first)?;
    let at = cx.select(cx.compare(y, best, Direction::Eq)?, place, cx.full_like(place, flat.at(first)? as f64)?)?;
    let at = cx.spread(cx.reshaped(cx.fold(at, &[first], Fold::Min)?, kept)?, &flat)?;
    one(cx.reshaped(cx.cast(cx.compare(place, at, Direction::Eq)?, cx.dtype(x))?, shape)?)
}
