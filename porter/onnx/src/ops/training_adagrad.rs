//! `Adagrad`: a step of adaptive gradient descent.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Adagrad.html>
//! Versions: 1.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (rate, step) = (cx.reshaped(cx.x(0)?, [])?, cx.reshaped(cx.x(1)?, [])?);
    let (norm, decay, epsilon) = (cx.float("norm_coefficient", 0.0), cx.float("decay_factor", 0.0), cx.float("epsilon", 0.0));
    let step = cx.cast(step, cx.dtype(rate))?;
    let rate = cx.divide(rate, cx.with(cx.with(step, decay, Builder::multiply)?, 1.0, Builder::add)?)?;
    let count = cx.inputs.len().saturating_sub(2) / 3;
    let (mut values, mut squares) = (Vec::new(), Vec::new());
    for i in 0..count {
        let (x, g, h) = (cx.x(2 + i)?, cx.x(2 + count + i)?, cx.x(2 + 2 * count + i)?);
        let regular = cx.add(cx.with(x, norm, Builder::multiply)?, g)?;
        let next = cx.add(h, cx.multiply(regular, regular)?)?;
        let root = cx.with(cx.sqrt(next)?, epsilon, Builder::add)?;
        let way = cx.divide(cx.multiply(cx.spread(rate, &cx.dims(x))?, regular)?, root)?;
        values.push(cx.subtract(x, way)?.into());
        squares.push(next.into());
    }
    values.extend(squares);
    Ok(values)
}
