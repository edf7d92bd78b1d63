//! `MatMulIntegerToFloat`: the product of quantised matrices as floats.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulIntegerToFloat>
//! Versions: 1 of `com.microsoft`.

use crate::{contrib::over, help::prelude::*};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let rows = cx.rank(cx.x(0)?).checked_sub(2);
    let columns = cx.rank(cx.x(1)?).checked_sub(1);
    let a = crate::ops::mat_mul_integer::centred(cx, cx.x(0)?, cx.opt(4)?, rows)?;
    let b = crate::ops::mat_mul_integer::centred(cx, cx.x(1)?, cx.opt(5)?, columns)?;
    let y = matmul(cx, a, b, DType::I32)?;
    let shape = cx.dims(y);
    let last = shape.len().checked_sub(1);
    let scale = cx.multiply(over(cx, cx.x(2)?, &shape, None)?, over(cx, cx.x(3)?, &shape, last)?)?;
    let y = cx.multiply(cx.cast(y, DType::F32)?, scale)?;
    match cx.opt(6)? {
        Some(bias) => one(cx.pair(y, bias, Builder::add)?),
        None => one(y),
    }
}
