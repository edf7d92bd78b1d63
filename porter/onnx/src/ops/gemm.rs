//! `Gemm`: `alpha * A * B + beta * C`.
//!
//! <https://onnx.ai/onnx/operators/onnx__Gemm.html>
//! Versions: 1, 6, 7, 9, 11, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (mut a, mut b) = (cx.x(0)?, cx.x(1)?);
    let (alpha, beta) = (cx.float("alpha", 1.0), cx.float("beta", 1.0));
    cx.ignore(&["broadcast"]);
    if cx.int("transA", 0) != 0 {
        a = cx.transpose(a, &[1, 0])?;
    }
    if cx.int("transB", 0) != 0 {
        b = cx.transpose(b, &[1, 0])?;
    }
    let mut y = matmul(cx, a, b, cx.dtype(a))?;
    if alpha.to_bits() != 1.0_f64.to_bits() {
        y = cx.with(y, alpha, Builder::multiply)?;
    }
    if let Some(mut c) = cx.opt(2)? {
        if beta.to_bits() != 1.0_f64.to_bits() {
            c = cx.with(c, beta, Builder::multiply)?;
        }
        y = cx.add(y, cx.spread(c, &cx.dims(y))?)?;
    }
    one(y)
}
