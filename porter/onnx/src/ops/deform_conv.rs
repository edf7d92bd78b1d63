//! `DeformConv`: convolution whose taps are moved by offsets.
//!
//! <https://onnx.ai/onnx/operators/onnx__DeformConv.html>
//! Versions: 19, 22.
//! Limits: two dimensions of space.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, w, offset) = (cx.x(0)?, cx.x(1)?, cx.x(2)?);
    let (&[batch, channels, height, width], &[outputs, inner, kh, kw]) = (&cx.dims(x)[..], &cx.dims(w)[..]) else {
        return unsupported("other than two dimensions of space");
    };
    cx.ignore(&["kernel_shape"]);
    let spatial = Spatial::read(cx, &[height, width], vec![kh, kw])?;
    let group = usize::try_from(cx.int("group", 1)).unwrap_or(1).max(1);
    let parts = usize::try_from(cx.int("offset_group", 1)).unwrap_or(1).max(1);
    let &[_, _, oh, ow] = &cx.dims(offset)[..] else { return invalid("offsets have four dimensions") };
    let (taps, places) = (listed(&[kh, kw])?, listed(&[oh, ow])?);
    listed(&[taps, places])?;
    if inner.checked_mul(group) != Some(channels) || channels % parts != 0 || outputs % group != 0 {
        return invalid("groups do not divide the channels");
    }
    // [batch, parts, taps, axis, places]
    let offset = cx.reshaped(offset, [batch, parts, taps, 2, places])?;
    let full = [batch, parts, taps, places];
    let along = |axis: usize| -> One {
        let mut base = Vec::with_capacity(taps * places);
        for tap in crate::host::indices(&[kh, kw]) {
            for place in crate::host::indices(&[oh, ow]) {
                let tap = tap.at(axis)?.saturating_mul(spatial.dilations.at(axis)?);
                let at = place.at(axis)?.saturating_mul(spatial.strides.at(axis)?).saturating_add(tap) as i64;
                base.push(at.saturating_sub(spatial.pads.at(axis)?.0) as f64);
            }
        }
        let ty = TensorType::new(cx.dtype(x), [taps, places]);
        let base = cx.host_constant(&Host { ty, data: Data::Floats(base) })?;
        let own = cx.reshaped(cx.slice_dim(offset, 3, axis, axis + 1)?, full)?;
        Ok(cx.add(own, cx.spread(base, &full)?)?)
    };
    let (y, z) = (along(0)?, along(1)?);
    let each = channels / parts;
    let flat = cx.reshaped(x, [batch, parts, each, height.saturating_mul(width)])?;
    let wide = [batch, parts, each, taps * places];
    let spread = |v: Value| -> One { Ok(cx.broadcast_in_dim(cx.reshaped(v, [batch, parts, taps * places])?, wide, &[0, 1, 3])?) };
    let mut total: Option<Value> = None;
    for (up, left) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] {
        let corner = |at: Value, more: f64, size: usize| -> Result<(Value, Value), Fault> {
            let first = cx.floor(at)?;
            let rest = cx.subtract(at, first)?;
            let index = cx.with(first, more, Builder::add)?;
            let weight = if more > 0.0 { rest } else { cx.subtract(cx.full_like(rest, 1.0)?, rest)? };
            let last = size as f64 - 1.0;
            let seen = cx.and(cx.is(index, Direction::Ge, 0.0)?, cx.is(index, Direction::Le, last)?)?;
            let weight = cx.select(seen, weight, cx.full_like(weight, 0.0)?)?;
            let index = cx.with(cx.with(index, 0.0, Builder::maximum)?, last, Builder::minimum)?;
            Ok((cx.cast(index, DType::I64)?, weight))
        };
        let ((row, a), (column, b)) = (corner(y, up, height)?, corner(z, left, width)?);
        let index = cx.add(cx.with(row, width as f64, Builder::multiply)?, column)?;
        let taken = gather_points(cx, flat, index_points(cx, spread(index)?, 3, height.saturating_mul(width))?)?;
        let part = cx.multiply(taken, spread(cx.multiply(a, b)?)?)?;
        total = Some(match total {
            Some(so_far) => cx.add(so_far, part)?,
            None => part,
        });
    }
    let Some(mut columns) = total else { return invalid("no corner") };
    if let Some(mask) = cx.opt(4)? {
        let mask = cx.reshaped(mask, [batch, parts, taps, places])?;
        columns = cx.multiply(columns, spread(mask)?)?;
    }
    let columns = cx.reshaped(columns, [batch, group, inner * taps, places])?;
    let w = cx.reshaped(w, [group, outputs / group, inner * taps])?;
    let dimensions = DotDimensions {
        lhs_batching: vec![0],
        rhs_batching: vec![1],
        lhs_contracting: vec![2],
        rhs_contracting: vec![2],
    };
    let product = cx.dot_general(w, columns, dimensions, cx.dtype(x))?;
    let y = cx.reshaped(cx.transpose(product, &[2, 0, 1, 3])?, [batch, outputs, oh, ow])?;
    match cx.opt(3)? {
        Some(bias) => one(cx.add(y, spread_axis(cx, bias, &[batch, outputs, oh, ow], 1)?)?),
        None => one(y),
    }
}
