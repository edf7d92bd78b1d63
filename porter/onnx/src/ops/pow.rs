//! `Pow`: power, broadcast; of the base's type.
//!
//! <https://onnx.ai/onnx/operators/onnx__Pow.html>
//! Versions: 1, 7, 12, 13, 15.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let (x, y) = crate::help::operands(cx)?;
    let (base, exponent) = (cx.dtype(x), cx.dtype(y));
    let dtype = if base.is_float() || !exponent.is_float() { base } else { exponent };
    let power = cx.power(cx.cast(x, dtype)?, cx.cast(y, dtype)?)?;
    one(cx.cast(power, base)?)
}
