//! `AffineGrid`: the grid that an affine transformation samples.
//!
//! <https://onnx.ai/onnx/operators/onnx__AffineGrid.html>
//! Versions: 20.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let theta = cx.x(0)?;
    let size = crate::ops::constant_of_shape::sizes(&cx.known_ints(1)?)?;
    let align = cx.int("align_corners", 0) != 0;
    let Some(space) = size.get(2..).filter(|s| matches!(s.len(), 2 | 3)) else {
        return invalid(format!("a size of {size:?}, expected four or five dimensions"));
    };
    let line = |i: usize, n: usize| {
        let (i, n) = (i as f64, n as f64);
        if align { if n > 1.0 { -1.0 + 2.0 * i / (n - 1.0) } else { 0.0 } } else { (2.0 * i + 1.0) / n - 1.0 }
    };
    let mut data = Vec::new();
    for index in crate::host::indices(space) {
        data.extend(index.iter().zip(space).rev().map(|(&i, &n)| line(i, n)));
        data.push(1.0);
    }
    let count = elements(space);
    let n = space.len();
    let ty = TensorType::new(cx.dtype(theta), [count, n + 1]);
    let base = cx.host_constant(&Host { ty, data: Data::Floats(data) })?;
    let grid = matmul(cx, base, cx.transpose(theta, &[0, 2, 1])?, cx.dtype(theta))?;
    let out: Vec<usize> = [size.at(0)?].into_iter().chain(space.iter().copied()).chain([n]).collect();
    one(cx.reshaped(grid, out)?)
}
