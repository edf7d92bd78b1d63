//! `Momentum`: a step of gradient descent with momentum.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Momentum.html>
//! Versions: 1.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (rate, step) = (cx.x(0)?, cx.x(1)?);
    let (norm, alpha, beta) = (cx.float("norm_coefficient", 0.0), cx.float("alpha", 0.0), cx.float("beta", 0.0));
    let nesterov = cx.string("mode", "standard") == "nesterov";
    let count = cx.inputs.len().saturating_sub(2) / 3;
    let (mut values, mut momenta) = (Vec::new(), Vec::new());
    for i in 0..count {
        let (x, g, v) = (cx.x(2 + i)?, cx.x(2 + count + i)?, cx.x(2 + 2 * count + i)?);
        let shape = cx.dims(x);
        let regular = cx.add(cx.with(x, norm, Builder::multiply)?, g)?;
        let late = cx.spread(cx.reshaped(cx.is(step, Direction::Gt, 0.0)?, [])?, &shape)?;
        let scaled = cx.select(late, cx.with(regular, beta, Builder::multiply)?, regular)?;
        let next = cx.add(cx.with(v, alpha, Builder::multiply)?, scaled)?;
        let way = if nesterov { cx.add(regular, cx.with(next, alpha, Builder::multiply)?)? } else { next };
        let rate = cx.spread(cx.reshaped(rate, [])?, &shape)?;
        values.push(cx.subtract(x, cx.multiply(rate, way)?)?.into());
        momenta.push(next.into());
    }
    values.extend(momenta);
    Ok(values)
}
