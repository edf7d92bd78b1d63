//! `MeanVarianceNormalization`: less the mean, divided by the standard deviation.
//!
//! <https://onnx.ai/onnx/operators/onnx__MeanVarianceNormalization.html>
//! Versions: 9, 13.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let axes = cx.ints("axes").unwrap_or_else(|| vec![0, 2, 3]);
    let dims = cx.axes(&axes, cx.rank(x))?;
    let shape = cx.dims(x);
    let average = mean(cx, x, &dims)?;
    let centred = cx.subtract(x, cx.spread(average, &shape)?)?;
    let deviation = cx.sqrt(mean(cx, cx.multiply(centred, centred)?, &dims)?)?;
    one(cx.divide(centred, cx.spread(cx.with(deviation, 1e-9, Builder::add)?, &shape)?)?)
}
