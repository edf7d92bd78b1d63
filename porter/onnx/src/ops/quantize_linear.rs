//! `QuantizeLinear`: `saturate(x / scale + zero point)`.
//!
//! <https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html>
//! Versions: 10, 13, 19, 21, 23, 24, 25.

use crate::help::prelude::*;
use onnx_protobuf::DataType;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, scale) = (cx.x(0)?, quantised::scale(cx, 1)?);
    let given = if let Item::Absent = cx.item(2) { DataType::new(cx.int("output_dtype", 0)).unwrap_or(DataType::Uint8) } else {
        cx.ignore(&["output_dtype"]);
        cx.data_type(2)?
    };
    let precision = match cx.int("precision", 0) {
        0 => cx.wide(cx.dtype(scale)),
        number => crate::ops::cast::target(number)?,
    };
    let shape = cx.dims(x);
    let scale = cx.cast(quantised::spread(cx, scale, &shape)?, precision)?;
    let ratio = cx.divide(cx.cast(x, precision)?, scale)?;
    let zero = match cx.item(2).clone() {
        Item::Absent => None,
        Item::Carried(value, ty) => Some(crate::ops::cast::decoded(cx, value, ty)?),
        _ => Some(cx.x(2)?),
    };
    let zero = zero.map(|zero| quantised::spread(cx, zero, &shape)).transpose()?;
    let Some((least, most)) = quantised::range(given) else {
        let ratio = match zero {
            Some(zero) => cx.add(ratio, cx.cast(zero, precision)?)?,
            None => ratio,
        };
        return quantised::narrow(cx, ratio, given);
    };
    cx.ignore(&["saturate"]);
    let mut whole = cx.cast(cx.round_nearest_even(ratio)?, DType::F32)?;
    if let Some(zero) = zero {
        whole = cx.add(whole, cx.cast(zero, DType::F32)?)?;
    }
    let bounded = cx.with(cx.with(whole, least, Builder::maximum)?, most, Builder::minimum)?;
    quantised::narrow(cx, cx.cast(bounded, DType::I32)?, given)
}

use crate::quantised;
