//! `FlexAttention`: attention whose scores and probabilities subgraphs change.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreview_FlexAttention.html>
//! Versions: 1.

use crate::help::prelude::*;
use crate::ops::attention;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (q, k, v) = (cx.x(0)?, cx.x(1)?, cx.x(2)?);
    let (&[_, heads, _, width], &[_, groups, ..]) = (&cx.dims(q)[..], &cx.dims(k)[..]) else {
        return invalid("queries and keys have four dimensions");
    };
    let precision = match cx.int("softmax_precision", 0) {
        0 if cx.dtype(q) == DType::F64 => DType::F64,
        0 => DType::F32,
        number => crate::ops::cast::target(number)?,
    };
    let scale = cx.float_opt("scale").unwrap_or_else(|| 1.0 / (width as f64).sqrt());
    let (k, v) = (attention::repeated(cx, k, heads, groups)?, attention::repeated(cx, v, heads, groups)?);
    let keys = cx.transpose(cx.cast(k, precision)?, &[0, 1, 3, 2])?;
    let scores = cx.with(matmul(cx, cx.cast(q, precision)?, keys, precision)?, scale, Builder::multiply)?;
    let scores = modified(cx, "score_mod", scores)?;
    let weights = modified(cx, "prob_mod", softmax(cx, scores, &[3])?)?;
    one(cx.cast(matmul(cx, weights, cx.cast(v, precision)?, precision)?, cx.dtype(q))?)
}


fn modified(cx: &Cx<'_, '_>, name: &'static str, x: Value) -> One {
    if cx.attribute(name).is_none() {
        return Ok(x);
    }
    match cx.run(cx, cx.graph(name)?, vec![x.into()])?.first() {
        Some(Item::Tensor(value)) => Ok(*value),
        _ => invalid(format!("{name} gives no tensor")),
    }
}
