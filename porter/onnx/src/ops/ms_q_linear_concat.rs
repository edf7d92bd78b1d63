//! `QLinearConcat`: quantised tensors joined.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearConcat>
//! Versions: 1 of `com.microsoft`.

use crate::{
    contrib::{narrowed, real},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let parts = (2..cx.inputs.len()).step_by(3).map(|i| real(cx, [i, i + 1, i + 2], None));
    let parts: Vec<Value> = parts.collect::<Result<_, _>>()?;
    let Some(&first) = parts.first() else { return invalid("has no tensor") };
    let axis = cx.axis(cx.int("axis", 0), cx.rank(first))?;
    narrowed(cx, cx.concatenate(&parts, axis)?, [0, 1], cx.dtype(cx.x(1)?))
}
