//! `DynamicQuantizeLinear`: `u8` by the range of the data, its scale and its zero point.
//!
//! <https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html>
//! Versions: 11.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let (shape, dims) = (cx.dims(x), (0..cx.rank(x)).collect::<Vec<_>>());
    let low = cx.with(cx.fold(x, &dims, Fold::Min)?, 0.0, Builder::minimum)?;
    let high = cx.with(cx.fold(x, &dims, Fold::Max)?, 0.0, Builder::maximum)?;
    let scale = cx.with(cx.subtract(high, low)?, 255.0, Builder::divide)?;
    let bounded = |v: Value| -> One { cx.with(cx.with(v, 0.0, Builder::maximum)?, 255.0, Builder::minimum) };
    let zero = cx.round_nearest_even(bounded(cx.divide(cx.negate(low)?, scale)?)?)?;
    let ratio = cx.round_nearest_even(cx.divide(x, cx.spread(scale, &shape)?)?)?;
    let y = bounded(cx.add(ratio, cx.spread(zero, &shape)?)?)?;
    let to_u8 = |v: Value| -> One { cx.cast(cx.cast(v, DType::I32)?, DType::U8) };
    Ok(vec![to_u8(y)?.into(), scale.into(), to_u8(zero)?.into()])
}
