//! `Adam`: a step of Adam.
//!
//! <https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Adam.html>
//! Versions: 1.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (rate, step) = (cx.reshaped(cx.x(0)?, [])?, cx.reshaped(cx.x(1)?, [])?);
    let (alpha, beta, epsilon) = (cx.float("alpha", 0.9), cx.float("beta", 0.999), cx.float("epsilon", 0.0));
    let (norm, post) = (cx.float("norm_coefficient", 0.0), cx.float("norm_coefficient_post", 0.0));
    let late = cx.is(step, Direction::Gt, 0.0)?;
    let step = cx.cast(step, cx.dtype(rate))?;
    let left = |base: f64| -> One {
        let power = cx.power(cx.full_like(step, base)?, step)?;
        Ok(cx.subtract(cx.full_like(power, 1.0)?, power)?)
    };
    let adjusted = cx.divide(cx.multiply(rate, cx.sqrt(left(beta)?)?)?, left(alpha)?)?;
    let rate = cx.select(late, adjusted, rate)?;
    let count = cx.inputs.len().saturating_sub(2) / 4;
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    for i in 0..count {
        let input = |k: usize| cx.x(2 + k * count + i);
        let (x, g, v, h) = (input(0)?, input(1)?, input(2)?, input(3)?);
        let regular = cx.add(cx.with(x, norm, Builder::multiply)?, g)?;
        let mix = |old: Value, new: Value, keep: f64| -> One {
            Ok(cx.add(cx.with(old, keep, Builder::multiply)?, cx.with(new, 1.0 - keep, Builder::multiply)?)?)
        };
        let (v, h) = (mix(v, regular, alpha)?, mix(h, cx.multiply(regular, regular)?, beta)?);
        let way = cx.divide(v, cx.with(cx.sqrt(h)?, epsilon, Builder::add)?)?;
        let next = cx.subtract(x, cx.multiply(cx.spread(rate, &cx.dims(x))?, way)?)?;
        let next = cx.with(next, 1.0 - post, Builder::multiply)?;
        for (column, value) in columns.iter_mut().zip([next, v, h]) {
            column.push(value.into());
        }
    }
    Ok(columns.concat())
}
