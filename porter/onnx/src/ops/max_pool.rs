//! `MaxPool`: the largest of each window, and where it is.
//!
//! <https://onnx.ai/onnx/operators/onnx__MaxPool.html>
//! Versions: 1, 8, 10, 11, 12, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let shape = cx.dims(x);
    let (spatial, pads) = windows(cx, &shape)?;
    if !cx.wants(1) {
        cx.ignore(&["storage_order"]);
        let (sizes, window) = spatial.window(&pads);
        return one(cx.fold_windows(x, &sizes, window, Fold::Max)?);
    }
    let columns = cx.int("storage_order", 0) != 0;
    let (values, places) = taps(cx, x, &spatial, &pads, columns)?;
    let best = cx.fold(values, &[0], Fold::Max)?;
    let here = cx.compare(values, cx.spread(best, &cx.dims(values))?, Direction::Eq)?;
    let none = cx.full_like(places, 1e15)?;
    let at = cx.fold(cx.select(here, places, none)?, &[0], Fold::Min)?;
    Ok(vec![best.into(), at.into()])
}

/// The node's windows over the dimensions of `shape` after the first two, and their padding.
pub(crate) fn windows(cx: &Cx<'_, '_>, shape: &[usize]) -> Result<(Spatial, Vec<(i64, i64)>), Fault> {
    let Some(sizes) = shape.get(2..) else { return invalid("the input has no batch and channel") };
    let kernel = cx.ints("kernel_shape").unwrap_or_default();
    let spatial = Spatial::read(cx, sizes, kernel.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect())?;
    let pads = if cx.int("ceil_mode", 0) != 0 { spatial.ceil(sizes)? } else { spatial.pads.clone() };
    Ok((spatial, pads))
}

/// Each tap of the windows `[taps, batch, channel, places..]`, and its flat index in the whole input.
fn taps(cx: &Cx<'_, '_>, x: Value, spatial: &Spatial, pads: &[(i64, i64)], columns: bool) -> Result<(Value, Value), Fault> {
    let shape = cx.dims(x);
    let rank = shape.len();
    let mut order: Vec<usize> = (0..rank).collect();
    if columns {
        order.part_mut(2..)?.reverse();
    }
    let mut flat = cx.full(TensorType::new(DType::I64, shape.clone()), 0.0)?;
    let mut step = 1;
    for &d in order.iter().rev() {
        flat = cx.add(flat, cx.with(arange(cx, DType::I64, &shape, d)?, step as f64, Builder::multiply)?)?;
        step = shape.at(d)?.saturating_mul(step);
    }
    let low: Vec<i64> = [0, 0].into_iter().chain(pads.iter().map(|p| p.0)).collect();
    let high: Vec<i64> = [0, 0].into_iter().chain(pads.iter().map(|p| p.1)).collect();
    let padded = cx.pad(x, cx.neutral(cx.dtype(x), Fold::Max)?, &low, &high, &vec![0; rank])?;
    let far = cx.scalar(DType::I64, 1e15)?;
    let flat = cx.pad(flat, far, &low, &high, &vec![0; rank])?;
    let room = cx.dims(padded);
    let (mut values, mut places) = (Vec::new(), Vec::new());
    unrolled(listed(&spatial.kernel)?)?;
    for tap in crate::host::indices(&spatial.kernel) {
        let (mut starts, mut limits, mut strides) = (vec![0; rank], room.clone(), vec![1; rank]);
        for (i, k) in tap.into_iter().enumerate() {
            let (dilation, stride) = (spatial.dilations.at(i)?, spatial.strides.at(i)?);
            let reach = spatial.kernel.at(i)?.saturating_sub(1).saturating_mul(dilation).saturating_add(1);
            let count = room.at(2 + i)?.saturating_add(stride).saturating_sub(reach).checked_div(stride).unwrap_or(0);
            let start = k.saturating_mul(dilation);
            *starts.slot(2 + i)? = start;
            *strides.slot(2 + i)? = stride;
            let span = count.saturating_sub(1).saturating_mul(stride);
            *limits.slot(2 + i)? = start.saturating_add(span).saturating_add(1);
        }
        values.push(cx.slice(padded, &starts, &limits, &strides)?);
        places.push(cx.slice(flat, &starts, &limits, &strides)?);
    }
    Ok((stack(cx, &values, 0)?, stack(cx, &places, 0)?))
}
