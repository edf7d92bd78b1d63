//! `Clip`: elements kept between two bounds.
//!
//! <https://onnx.ai/onnx/operators/onnx__Clip.html>
//! Versions: 1, 6, 11, 12, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let mut x = cx.x(0)?;
    if cx.opset < 11 {
        if let Some(low) = cx.float_opt("min") {
            x = cx.with(x, low, Builder::maximum)?;
        }
        if let Some(high) = cx.float_opt("max") {
            x = cx.with(x, high, Builder::minimum)?;
        }
        return one(x);
    }
    let shape = cx.dims(x);
    if let Some(low) = cx.opt(1)? {
        x = cx.maximum(x, cx.spread(cx.reshaped(low, [])?, &shape)?)?;
    }
    if let Some(high) = cx.opt(2)? {
        x = cx.minimum(x, cx.spread(cx.reshaped(high, [])?, &shape)?)?;
    }
    one(x)
}
