//! `FusedMatMul`: a matrix product of transposed operands, scaled.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FusedMatMul>
//! Versions: 1 of `com.microsoft`.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let a = turned(cx, cx.x(0)?, "transA", "transBatchA")?;
    let b = turned(cx, cx.x(1)?, "transB", "transBatchB")?;
    let y = matmul(cx, a, b, cx.dtype(a))?;
    one(cx.with(y, cx.float("alpha", 1.0), Builder::multiply)?)
}

/// An operand whose first dimension lies before its last two once its batch is transposed, and whose last two are
/// exchanged.
fn turned(cx: &Cx<'_, '_>, x: Value, matrix: &'static str, batch: &'static str) -> One {
    let rank = cx.rank(x);
    let mut order: Vec<usize> = (0..rank).collect();
    let (matrix, batch) = (cx.int(matrix, 0) != 0, cx.int(batch, 0) != 0);
    if rank < 2 {
        return Ok(x);
    }
    if batch {
        order.part_mut(..rank - 1)?.rotate_left(1);
    }
    if matrix {
        order.swap(rank - 2, rank - 1);
    }
    permuted(cx, x, &order)
}
