//! `QLinearGlobalAveragePool`: the mean of each channel of a quantised tensor.
//!
//! <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearGlobalAveragePool>
//! Versions: 1 of `com.microsoft`.

use crate::{
    contrib::{narrowed, real},
    help::prelude::*,
};

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = real(cx, [0, 1, 2], None)?;
    let rank = cx.rank(x);
    let first = if cx.int("channels_last", 0) != 0 { 1 } else { 2 };
    let y = mean(cx, x, &(first..(rank + first).saturating_sub(2)).collect::<Vec<_>>())?;
    narrowed(cx, y, [3, 4], cx.dtype(cx.x(0)?))
}
