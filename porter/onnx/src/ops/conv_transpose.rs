//! `ConvTranspose`: the transpose of a convolution.
//!
//! <https://onnx.ai/onnx/operators/onnx__ConvTranspose.html>
//! Versions: 1, 11, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let (x, w) = (cx.x(0)?, cx.x(1)?);
    let (shape, kernel) = (cx.dims(x), cx.dims(w));
    let n = shape.len().saturating_sub(2);
    let groups = usize::try_from(cx.int("group", 1)).unwrap_or(0).max(1);
    if kernel.len() != shape.len() || shape.len() < 2 || kernel.at(0)? != shape.at(1)? || kernel.at(0)? % groups != 0 {
        return invalid(format!("a kernel of {kernel:?} over {shape:?}"));
    }
    cx.ignore(&["kernel_shape"]);
    let list = |name: &'static str, default: i64| -> Result<Vec<i64>, Fault> {
        let list = cx.ints(name).unwrap_or_else(|| vec![default; n]);
        let small = list.iter().all(|x| x.unsigned_abs() < 1 << 31);
        if list.len() == n && small { Ok(list) } else { invalid(format!("{name} {list:?}")) }
    };
    let (strides, dilations, extra) = (list("strides", 1)?, list("dilations", 1)?, list("output_padding", 0)?);
    if strides.iter().chain(&dilations).any(|&s| s < 1) {
        return invalid("strides and dilations are at least 1");
    }
    let reach: Vec<i64> = (0..n)
        .map(|i| Ok((kernel.at(2 + i)? as i64 - 1).saturating_mul(dilations.at(i)?).saturating_add(1)))
        .collect::<Result<_, Fault>>()?;
    let auto = cx.string("auto_pad", "NOTSET");
    let mut wanted = cx.ints("output_shape");
    if let Some(sizes) = &mut wanted {
        sizes.drain(..sizes.len().saturating_sub(n));
    }
    let given = cx.ints("pads");
    let mut pads = Vec::with_capacity(n);
    for i in 0..n {
        let size = shape.at(2 + i)? as i64;
        let whole = strides.at(i)?.saturating_mul(size - 1).saturating_add(extra.at(i)?).saturating_add(reach.at(i)?);
        let total = match (&wanted, &*auto) {
            (Some(to), _) => whole.saturating_sub(to.get(i).copied().unwrap_or(0)),
            (None, "SAME_UPPER" | "SAME_LOWER") => whole.saturating_sub(size.saturating_mul(strides.at(i)?)),
            (None, _) => {
                let pair = given.as_ref().map(|p| (p.get(i).copied().unwrap_or(0), p.get(n + i).copied().unwrap_or(0)));
                pads.push(pair.unwrap_or((0, 0)));
                continue;
            }
        };
        let half = total.div_euclid(2);
        pads.push(if auto == "SAME_UPPER" { (half, total - half) } else { (total - half, half) });
    }
    // Output features first, the taps in reverse: then it is a convolution over the spread-out input.
    let (inner, outer) = (kernel.at(0)? / groups, kernel.at(1)?);
    let mut split = vec![groups, inner, outer];
    split.extend(kernel.part(2..)?);
    let order: Vec<usize> = [0, 2, 1].into_iter().chain(3..3 + n).collect();
    let w = permuted(cx, cx.reshaped(w, split)?, &order)?;
    let mut flat = vec![groups.saturating_mul(outer), inner];
    flat.extend(kernel.part(2..)?);
    let w = cx.reverse(cx.reshaped(w, flat)?, &(2..2 + n).collect::<Vec<_>>())?;
    let mut op = Convolution::plain(n, cx.dtype(x));
    op.feature_groups = groups;
    op.window.base_dilations = strides.iter().map(|&s| s as usize).collect();
    op.window.window_dilations = dilations.iter().map(|&d| d as usize).collect();
    op.window.padding = reach
        .iter()
        .zip(&pads)
        .zip(&extra)
        .map(|((reach, (low, high)), extra)| {
            let edge = reach.saturating_sub(1);
            (edge.saturating_sub(*low), edge.saturating_sub(*high).saturating_add(*extra))
        })
        .collect();
    let y = cx.convolution(op, x, w)?;
    match cx.opt(2)? {
        Some(bias) => one(cx.add(y, spread_axis(cx, bias, &cx.dims(y), 1)?)?),
        None => one(y),
    }
}
