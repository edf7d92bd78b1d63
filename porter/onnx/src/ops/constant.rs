//! `Constant`: a constant.
//!
//! <https://onnx.ai/onnx/operators/onnx__Constant.html>
//! Versions: 1, 9, 11, 12, 13, 19, 21, 23, 24, 25.
//! Limits: strings.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    if let Some(tensor) = cx.tensor_attribute("value") {
        return Ok(vec![cx.proto_constant(tensor)?]);
    }
    if let Some(sparse) = cx.attribute("sparse_value").and_then(|a| a.sparse_tensor.as_ref()) {
        return one(cx.host_constant(&cx.importer.dense(sparse)?)?);
    }
    if let Some(x) = cx.float_opt("value_float") {
        return one(cx.scalar(DType::F32, x)?);
    }
    if let Some(x) = cx.floats("value_floats") {
        let ty = TensorType::new(DType::F32, [x.len()]);
        return one(cx.host_constant(&Host { ty, data: Data::Floats(x) })?);
    }
    if let Some(x) = cx.int_opt("value_int") {
        return one(cx.reshaped(cx.constant_ints(&[x])?, [])?);
    }
    if let Some(x) = cx.ints("value_ints") {
        return one(cx.constant_ints(&x)?);
    }
    unsupported("a constant that is a string or nothing")
}
