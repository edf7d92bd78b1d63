//! `MaxUnpool`: the elements that pooling kept, back in their places.
//!
//! <https://onnx.ai/onnx/operators/onnx__MaxUnpool.html>
//! Versions: 9, 11, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, places) = (cx.x(0)?, cx.x(1)?);
    let shape = cx.dims(x);
    let kernel = cx.ints("kernel_shape").unwrap_or_default();
    let n = kernel.len();
    let strides = cx.ints("strides").unwrap_or_else(|| vec![1; n]);
    let pads = cx.ints("pads").unwrap_or_else(|| vec![0; 2 * n]);
    if shape.len() != n + 2 || strides.len() != n || pads.len() != 2 * n {
        return invalid("kernel, strides and pads do not fit the input");
    }
    let mut inferred = vec![shape.at(0)? as i64, shape.at(1)? as i64];
    for i in 0..n {
        let span = (shape.at(2 + i)? as i64 - 1).saturating_mul(strides.at(i)?).saturating_add(kernel.at(i)?);
        inferred.push(span.saturating_sub(pads.at(i)?).saturating_sub(pads.at(n + i)?));
    }
    let inferred = crate::ops::constant_of_shape::sizes(&inferred)?;
    let target = match cx.opt_ints(2)? {
        Some(shape) => crate::ops::constant_of_shape::sizes(&shape)?,
        None => inferred.clone(),
    };
    // Places are flat in the inferred shape, which a larger one is filled from its start.
    let count = elements(&inferred);
    let zeros = cx.full(TensorType::new(cx.dtype(x), [count]), 0.0)?;
    let elements = cx.shape(x).elements();
    let (points, updates) = (cx.reshaped(places, [elements, 1])?, cx.reshaped(x, [elements])?);
    let y = cx.reshaped(fold_scatter(cx, zeros, points, updates, None)?, inferred.clone())?;
    if target.len() != inferred.len() {
        return invalid(format!("an output of {target:?} for {shape:?}"));
    }
    let more: Vec<i64> = target.iter().zip(&inferred).map(|(&to, &from)| to as i64 - from as i64).collect();
    let zero = cx.scalar(cx.dtype(x), 0.0)?;
    one(cx.pad(y, zero, &vec![0; more.len()], &more, &vec![0; more.len()])?)
}
