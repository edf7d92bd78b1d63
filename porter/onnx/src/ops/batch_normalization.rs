//! `BatchNormalization`: channels normalised by their statistics, given or of the batch.
//!
//! <https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>
//! Versions: 1, 6, 7, 9, 14, 15.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    cx.ignore(&["consumed_inputs", "is_test", "spatial"]);
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let (epsilon, momentum) = (cx.float("epsilon", 1e-5), cx.float("momentum", 0.9));
    let training = cx.int("training_mode", 0) != 0 || (cx.opset < 14 && cx.outputs() > 1);
    let along = |v: Value| -> One {
        let v = cx.cast(v, cx.dtype(x))?;
        if cx.rank(v) == 1 { spread_axis(cx, v, &shape, 1) } else { cx.spread(v, &shape) }
    };
    let (scale, bias) = (cx.x(1)?, cx.x(2)?);
    let (given_mean, given_variance) = (cx.x(3)?, cx.x(4)?);
    let finish = |average: Value, variance: Value| -> One {
        let root = cx.sqrt(cx.with(cx.cast(variance, cx.dtype(x))?, epsilon, Builder::add)?)?;
        let unit = cx.divide(cx.subtract(x, along(average)?)?, along(root)?)?;
        Ok(cx.add(cx.multiply(unit, along(scale)?)?, along(bias)?)?)
    };
    if !training {
        return one(finish(given_mean, given_variance)?);
    }
    let dims: Vec<usize> = (0..shape.len()).filter(|&d| d != 1).collect();
    let average = mean(cx, x, &dims)?;
    let centred = cx.subtract(x, cx.spread(average, &shape)?)?;
    let variance = mean(cx, cx.multiply(centred, centred)?, &dims)?;
    let flat = |v: Value| -> One { cx.cast(cx.reshaped(v, [cx.shape(v).elements()])?, cx.dtype(given_mean)) };
    let (average, variance) = (flat(average)?, flat(variance)?);
    let running = |old: Value, new: Value| -> One {
        Ok(cx.add(cx.with(old, momentum, Builder::multiply)?, cx.with(new, 1.0 - momentum, Builder::multiply)?)?)
    };
    let y = finish(average, variance)?;
    Ok(vec![y.into(), running(given_mean, average)?.into(), running(given_variance, variance)?.into()])
}
