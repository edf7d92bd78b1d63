//! `Pad`: padded or cut at the ends of dimensions, by amounts known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__Pad.html>
//! Versions: 1, 2, 11, 13, 18, 19, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let rank = cx.rank(x);
    let pads = match cx.opset {
        ..2 => cx.ints("paddings").unwrap_or_default(),
        2..11 => cx.ints("pads").unwrap_or_default(),
        _ => cx.known_ints(1)?,
    };
    let axes = match cx.opt_ints(3)? {
        Some(axes) => cx.axes(&axes, rank)?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return invalid(format!("{} pads for {} dimensions", pads.len(), axes.len()));
    }
    let (mut low, mut high) = (vec![0; rank], vec![0; rank]);
    for (i, &axis) in axes.iter().enumerate() {
        *low.slot(axis)? = pads.at(i)?;
        *high.slot(axis)? = pads.at(axes.len() + i)?;
    }
    let mode = cx.string("mode", "constant");
    if mode == "constant" {
        let value = match (cx.opset < 11, if cx.opset < 11 { None } else { cx.opt(2)? }) {
            (true, _) => cx.scalar(cx.dtype(x), cx.float("value", 0.0))?,
            (_, Some(value)) => cx.reshaped(value, [])?,
            (_, None) => cx.scalar(cx.dtype(x), 0.0)?,
        };
        return one(cx.pad(x, value, &low, &high, &vec![0; rank])?);
    }
    let wide = |pad: &i64| pad.unsigned_abs() > 1 << 31;
    if low.iter().chain(&high).any(wide) {
        return invalid(format!("pads {pads:?}"));
    }
    let mut y = x;
    for axis in 0..rank {
        let size = cx.dims(x).at(axis)? as i64;
        let place = |at: i64| match &*mode {
            "edge" => Some(at.min(size - 1).max(0)),
            "wrap" => Some(at.rem_euclid(size.max(1))),
            "reflect" => {
                let period = (2 * (size - 1)).max(1);
                let at = at.rem_euclid(period);
                Some(if at < size { at } else { period - at })
            }
            _ => None,
        };
        if (low.at(axis)?, high.at(axis)?) != (0, 0) {
            let Some(places) = (-low.at(axis)?..size + high.at(axis)?).map(place).collect::<Option<Vec<i64>>>() else {
                return invalid(format!("mode {mode:?}"));
            };
            let places = cx.constant_ints(&places)?;
            y = crate::ops::gather::gather(cx, y, places, axis)?;
        }
    }
    one(y)
}
