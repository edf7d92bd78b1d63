//! `DynamicQuantizeMatMul`: a product with a quantised matrix, for which the other one is quantised by its range.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.DynamicQuantizeMatMul>
//! Versions: 1 of `com.microsoft`.

use crate::{contrib::over, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let quantised = crate::ops::dynamic_quantize_linear::lower(cx)?;
    let &[Item::Tensor(a), Item::Tensor(scale), Item::Tensor(zero)] = &quantised[..] else {
        return invalid("is not quantised");
    };
    let a = crate::ops::mat_mul_integer::centred(cx, a, Some(zero), None)?;
    let columns = cx.rank(cx.x(1)?).checked_sub(1);
    let b = crate::ops::mat_mul_integer::centred(cx, cx.x(1)?, cx.opt(3)?, columns)?;
    let y = matmul(cx, a, b, DType::I32)?;
    let shape = cx.dims(y);
    let last = shape.len().checked_sub(1);
    let scale = cx.multiply(over(cx, scale, &shape, None)?, over(cx, cx.x(2)?, &shape, last)?)?;
    let y = cx.multiply(cx.cast(y, DType::F32)?, scale)?;
    match cx.opt(4)? {
        Some(bias) => one(cx.pair(y, bias, Builder::add)?),
        None => one(y),
    }
}
