//! `RoiAlign`: regions pooled from samples between elements.
//!
//! <https://onnx.ai/onnx/operators/onnx__RoiAlign.html>
//! Versions: 10, 16, 22.
//! Limits: a sampling ratio of 0 needs the regions at import.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, rois, batches) = (cx.x(0)?, cx.x(1)?, cx.x(2)?);
    let (&[_, channels, height, width], &[count, _]) = (&cx.dims(x)[..], &cx.dims(rois)[..]) else {
        return invalid("the input has four dimensions, the regions two");
    };
    let size = |name: &'static str| usize::try_from(cx.int(name, 1)).unwrap_or(1).max(1);
    let (oh, ow, ratio) = (size("output_height"), size("output_width"), cx.int("sampling_ratio", 0));
    let scale = cx.float("spatial_scale", 1.0);
    let half = cx.opset >= 16 && cx.string("coordinate_transformation_mode", "half_pixel") == "half_pixel";
    let largest = cx.string("mode", "avg") == "max";
    let mut outputs = Vec::new();
    for n in 0..unrolled(count)? {
        let edge = |i: usize| -> One {
            let row = cx.slice_dim(rois, 0, n, n + 1)?;
            let at = cx.with(cx.reshaped(cx.slice_dim(row, 1, i, i + 1)?, [])?, scale, Builder::multiply)?;
            cx.with(at, if half { 0.5 } else { 0.0 }, Builder::subtract)
        };
        let extent = |low: Value, high: Value| -> One {
            let extent = cx.subtract(high, low)?;
            if half { Ok(extent) } else { cx.with(extent, 1.0, Builder::maximum) }
        };
        let (left, top) = (edge(0)?, edge(1)?);
        let (wide, tall) = (extent(left, edge(2)?)?, extent(top, edge(3)?)?);
        let samples = |extent: Value, bins: usize| -> Result<usize, Fault> {
            match usize::try_from(ratio) {
                Ok(ratio) if ratio > 0 => Ok(ratio),
                _ => Ok((cx.known(extent)?.to_floats().at(0)? / bins as f64).ceil().max(1.0) as usize),
            }
        };
        let (sh, sw) = (samples(tall, oh)?, samples(wide, ow)?);
        let y = line(cx, top, tall, oh, sh, height)?;
        let z = line(cx, left, wide, ow, sw, width)?;
        let batch = cx.reshaped(cx.slice_dim(batches, 0, n, n + 1)?, [1])?;
        let image = cx.reshaped(crate::ops::gather::gather(cx, x, batch, 0)?, [channels, height, width])?;
        let mut corners = Vec::new();
        for (row, a) in y {
            for (column, b) in z {
                let rows = crate::ops::gather::gather(cx, image, row, 1)?;
                let taken = crate::ops::gather::gather(cx, rows, column, 2)?;
                let shape = cx.dims(taken);
                let weight = cx.multiply(spread_axis(cx, a, &shape, 1)?, spread_axis(cx, b, &shape, 2)?)?;
                corners.push(cx.multiply(taken, weight)?);
            }
        }
        // Of the largest, each corner counts by itself.
        let mut joint = corners.at(0)?;
        for &corner in corners.part(1..)? {
            joint = if largest { cx.maximum(joint, corner)? } else { cx.add(joint, corner)? };
        }
        let split = cx.reshaped(joint, [channels, oh, sh, ow, sw])?;
        outputs.push(if largest {
            cx.fold(split, &[2, 4], Fold::Max)?
        } else {
            cx.reshaped(mean(cx, split, &[2, 4])?, [channels, oh, ow])?
        });
    }
    one(stack(cx, &outputs, 0)?)
}

/// The two elements around each sample along a dimension, and their weights.
fn line(cx: &Cx<'_, '_>, start: Value, extent: Value, bins: usize, samples: usize, size: usize) -> Result<[(Value, Value); 2], Fault> {
    let total = listed(&[bins, samples])?;
    let steps = (0..total).map(|i| (i as f64 + 0.5) / total as f64).collect();
    let steps = cx.host_constant(&Host { ty: TensorType::new(cx.dtype(start), [total]), data: Data::Floats(steps) })?;
    let at = cx.add(cx.multiply(steps, cx.spread(extent, &[total])?)?, cx.spread(start, &[total])?)?;
    let last = size as f64 - 1.0;
    let seen = cx.and(cx.is(at, Direction::Ge, -1.0)?, cx.is(at, Direction::Le, size as f64)?)?;
    let at = cx.with(cx.with(at, 0.0, Builder::maximum)?, last, Builder::minimum)?;
    let first = cx.floor(at)?;
    let rest = cx.subtract(at, first)?;
    let zero = cx.full_like(rest, 0.0)?;
    let low = cx.select(seen, cx.subtract(cx.full_like(rest, 1.0)?, rest)?, zero)?;
    let high = cx.select(seen, rest, zero)?;
    let next = cx.with(cx.with(first, 1.0, Builder::add)?, last, Builder::minimum)?;
    Ok([(cx.cast(first, DType::I64)?, low), (cx.cast(next, DType::I64)?, high)])
}
