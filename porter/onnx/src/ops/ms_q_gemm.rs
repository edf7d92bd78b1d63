//! `QGemm`: `Gemm` of quantised matrices; its result is quantised where a scale for it is given.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QGemm>
//! Versions: 1 of `com.microsoft`.

use crate::{
    contrib::{narrowed, over},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let a = crate::ops::mat_mul_integer::centred(cx, cx.x(0)?, cx.opt(2)?, None)?;
    let transposed = cx.int("transB", 0) != 0;
    let b = crate::ops::mat_mul_integer::centred(cx, cx.x(3)?, cx.opt(5)?, Some(usize::from(!transposed)))?;
    let a = if cx.int("transA", 0) != 0 { cx.transpose(a, &[1, 0])? } else { a };
    let b = if transposed { cx.transpose(b, &[1, 0])? } else { b };
    let mut y = matmul(cx, a, b, DType::I32)?;
    if let Some(bias) = cx.opt(6)? {
        y = cx.pair(y, bias, Builder::add)?;
    }
    let shape = cx.dims(y);
    let scale = cx.multiply(over(cx, cx.x(1)?, &shape, None)?, over(cx, cx.x(4)?, &shape, Some(1))?)?;
    let scale = cx.with(scale, cx.float("alpha", 1.0), Builder::multiply)?;
    let y = cx.multiply(cx.cast(y, DType::F32)?, scale)?;
    if cx.opt(7)?.is_some() { narrowed(cx, y, [7, 8], cx.dtype(cx.x(0)?)) } else { one(y) }
}
