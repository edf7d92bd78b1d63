//! `DFT`: the discrete Fourier transform, as a product with a matrix of angles.
//!
//! <https://onnx.ai/onnx/operators/onnx__DFT.html>
//! Versions: 17, 20.
//! Limits: computed in `f64`, in time that grows with the square of the length.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let rank = cx.rank(x);
    let axis = if cx.opset < 20 { cx.int("axis", 1) } else { cx.opt_ints(2)?.and_then(|a| a.first().copied()).unwrap_or(-2) };
    let axis = cx.axis(axis, rank)?;
    let (inverse, onesided) = (cx.int("inverse", 0) != 0, cx.int("onesided", 0) != 0);
    let size = cx.dims(x).at(axis)?;
    let length = match cx.opt_ints(1)?.and_then(|l| l.first().copied()) {
        Some(length) => usize::try_from(length).unwrap_or(0),
        None if inverse && onesided => 2 * size.saturating_sub(1),
        None => size,
    };
    one(transform(cx, x, axis, length, inverse, onesided)?)
}

/// The transform of `[.., 1 or 2]` over `axis`, cut or padded to `length`.
pub(crate) fn transform(cx: &Cx<'_, '_>, x: Value, axis: usize, length: usize, inverse: bool, onesided: bool) -> One {
    let (shape, dtype) = (cx.dims(x), cx.dtype(x));
    let last = shape.len() - 1;
    if length == 0 || length > 1 << 13 || axis == last {
        return unsupported(format!("a transform of length {length} over dimension {axis}"));
    }
    let parts = shape.at(last)?;
    let real_output = inverse && onesided;
    let bins = if onesided && !inverse { length / 2 + 1 } else { length };
    let taken = if real_output { (length / 2 + 1).min(shape.at(axis)?) } else { shape.at(axis)?.min(length) };
    listed(&[taken, bins])?;
    let x = cx.cast(cx.slice_dim(x, axis, 0, taken)?, DType::F64)?;
    let table = |f: fn(f64) -> f64, scale: &dyn Fn(usize) -> f64| -> One {
        let angle = |n: usize, k: usize| 2.0 * std::f64::consts::PI * ((n * k) % length) as f64 / length as f64;
        let data = (0..taken).flat_map(|n| (0..bins).map(move |k| (n, k))).map(|(n, k)| f(angle(n, k)) * scale(n)).collect();
        cx.host_constant(&Host { ty: TensorType::new(DType::F64, [taken, bins]), data: Data::Floats(data) })
    };
    // One side of a real signal's spectrum stands for the other as well.
    let twice = |n: usize| if n == 0 || 2 * n == length { 1.0 } else { 2.0 };
    let scale = |n: usize| match (inverse, real_output) {
        (true, true) => twice(n) / length as f64,
        (true, false) => 1.0 / length as f64,
        _ => 1.0,
    };
    let (cos, sin) = (table(f64::cos, &scale)?, table(f64::sin, &scale)?);
    let product = |part: usize, table: Value| -> One {
        let mut own = cx.dims(x);
        own.pop();
        let x = cx.reshaped(cx.slice_dim(x, last, part, part + 1)?, own)?;
        let dimensions = DotDimensions { lhs_contracting: vec![axis], rhs_contracting: vec![0], ..DotDimensions::default() };
        let y = cx.dot_general(x, table, dimensions, DType::F64)?;
        let order: Vec<usize> = (0..axis).chain([last - 1]).chain(axis..last - 1).collect();
        permuted(cx, y, &order)
    };
    let (mut real, mut imaginary) = (product(0, cos)?, product(0, sin)?);
    if !inverse {
        imaginary = cx.negate(imaginary)?;
    }
    if parts == 2 {
        let (c, s) = (product(1, cos)?, product(1, sin)?);
        (real, imaginary) = if inverse {
            (cx.subtract(real, s)?, cx.add(imaginary, c)?)
        } else {
            (cx.add(real, s)?, cx.add(imaginary, c)?)
        };
    }
    let y = if real_output { stack(cx, &[real], last)? } else { stack(cx, &[real, imaginary], last)? };
    cx.cast(y, dtype)
}
