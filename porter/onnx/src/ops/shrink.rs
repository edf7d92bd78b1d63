//! `Shrink`: `x` moved towards zero by `bias`, 0 within `lambd` of it.
//!
//! <https://onnx.ai/onnx/operators/onnx__Shrink.html>
//! Versions: 9.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, bias, lambd) = (cx.x(0)?, cx.float("bias", 0.0), cx.float("lambd", 0.5));
    let float = cx.cast(x, if cx.dtype(x).is_float() { cx.dtype(x) } else { DType::F32 })?;
    let zero = cx.full_like(float, 0.0)?;
    let low = cx.select(cx.is(float, Direction::Lt, -lambd)?, cx.with(float, bias, Builder::add)?, zero)?;
    let high = cx.select(cx.is(float, Direction::Gt, lambd)?, cx.with(float, bias, Builder::subtract)?, low)?;
    one(cx.cast(high, cx.dtype(x))?)
}
