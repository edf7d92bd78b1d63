//! `OptionalHasElement`: whether an optional has a value, as a constant.
//!
//! <https://onnx.ai/onnx/operators/onnx__OptionalHasElement.html>
//! Versions: 15, 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let has = !matches!(cx.item(0), Item::Absent | Item::Empty);
    one(cx.full(TensorType::scalar(DType::Bool), f64::from(u8::from(has)))?)
}
