//! `NegativeLogLikelihoodLoss`: the weighted loss of target classes.
//!
//! <https://onnx.ai/onnx/operators/onnx__NegativeLogLikelihoodLoss.html>
//! Versions: 12, 13, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    one(loss(cx, cx.x(0)?)?)
}

/// The loss of log probabilities `[n, classes, ..]` by the node's attributes, targets and weights.
pub(crate) fn loss(cx: &Cx<'_, '_>, log: Value) -> One {
    let target = cx.cast(cx.x(1)?, DType::I64)?;
    let (shape, places) = (cx.dims(log), cx.dims(target));
    if shape.len() < 2 {
        return invalid("the input has no classes");
    }
    let ignored = match cx.int_opt("ignore_index") {
        Some(index) => {
            let index = cx.spread(cx.reshaped(cx.constant_ints(&[index])?, [])?, &places)?;
            Some(cx.compare(target, index, Direction::Eq)?)
        }
        None => None,
    };
    let dims: Vec<usize> = (0..shape.len()).filter(|&d| d != 1).collect();
    let class = arange(cx, DType::I64, &shape, 1)?;
    let here = cx.compare(class, cx.broadcast_in_dim(target, shape.clone(), &dims)?, Direction::Eq)?;
    let zero = cx.full_like(log, 0.0)?;
    let mut values = cx.negate(cx.fold(cx.select(here, log, zero)?, &[1], Fold::Sum)?)?;
    let mut weights = match cx.opt(2)? {
        Some(w) => cx.fold(cx.select(here, spread_axis(cx, w, &shape, 1)?, zero)?, &[1], Fold::Sum)?,
        None => cx.full_like(values, 1.0)?,
    };
    if let Some(ignored) = ignored {
        let none = cx.full_like(weights, 0.0)?;
        weights = cx.select(ignored, none, weights)?;
        values = cx.select(ignored, none, values)?;
    }
    let values = cx.multiply(values, weights)?;
    let all: Vec<usize> = (0..places.len()).collect();
    match &*cx.string("reduction", "mean") {
        "none" => Ok(values),
        "sum" => cx.fold(values, &all, Fold::Sum),
        "mean" => Ok(cx.divide(cx.fold(values, &all, Fold::Sum)?, cx.fold(weights, &all, Fold::Sum)?)?),
        other => invalid(format!("reduction {other:?}")),
    }
}
