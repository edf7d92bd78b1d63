//! `Col2Im`: columns added back into an image.
//!
//! <https://onnx.ai/onnx/operators/onnx__Col2Im.html>
//! Versions: 18.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let (image, block) = (crate::ops::constant_of_shape::sizes(&cx.known_ints(1)?)?, crate::ops::constant_of_shape::sizes(&cx.known_ints(2)?)?);
    let n = image.len();
    let spatial = Spatial::read(cx, &image, block.clone())?;
    let taps = listed(&block)?;
    let &[batch, rows, columns] = &cx.dims(x)[..] else { return invalid("the input has three dimensions") };
    listed(&[taps, columns])?;
    listed(&image)?;
    let channels = rows / taps.max(1);
    let counts: Vec<usize> = (0..n)
        .map(|d| {
            let (low, high) = spatial.pads.at(d)?;
            let reach = (block.at(d)? as i128 - 1) * spatial.dilations.at(d)? as i128 + 1;
            let span = image.at(d)? as i128 + i128::from(low) + i128::from(high) - reach;
            Ok(usize::try_from(span / spatial.strides.at(d)? as i128 + 1).unwrap_or(0))
        })
        .collect::<Result<_, Fault>>()?;
    if channels * taps != rows || listed(&counts)? != columns {
        return invalid(format!("columns {rows} by {columns} for blocks of {block:?} in {image:?}"));
    }
    // The place of each element in the padded image, flat; what lies outside goes past its end.
    let total = elements(&image);
    let steps = crate::host::strides(&image);
    let mut places = Vec::with_capacity(taps * columns);
    for tap in crate::host::indices(&block) {
        for window in crate::host::indices(&counts) {
            let mut flat = Some(0);
            for d in 0..n {
                let tap = tap.at(d)?.saturating_mul(spatial.dilations.at(d)?);
                let at = window.at(d)?.saturating_mul(spatial.strides.at(d)?).saturating_add(tap) as i64;
                let at = at.saturating_sub(spatial.pads.at(d)?.0);
                let (size, step) = (image.at(d)?, steps.at(d)?);
                let at = usize::try_from(at).ok().filter(|&at| at < size);
                flat = flat.zip(at).map(|(flat, at)| flat + at * step);
            }
            places.push(flat.unwrap_or(total) as i64);
        }
    }
    let points = cx.reshaped(cx.constant_ints(&places)?, [taps * columns, 1])?;
    let zeros = cx.full(TensorType::new(cx.dtype(x), [total, batch.saturating_mul(channels)]), 0.0)?;
    let updates = cx.transpose(cx.reshaped(x, [batch.saturating_mul(channels), taps * columns])?, &[1, 0])?;
    let y = cx.transpose(fold_scatter(cx, zeros, points, updates, Some(Fold::Sum))?, &[1, 0])?;
    one(cx.reshaped(y, [batch, channels].into_iter().chain(image).collect::<Vec<_>>())?)
}
