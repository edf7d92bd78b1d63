//! `HannWindow`: a raised cosine, of a size known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__HannWindow.html>
//! Versions: 17.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    window(cx, [0.5, 0.5, 0.0])
}

/// `a - b cos(2πn/N) + c cos(4πn/N)`.
pub(crate) fn window(cx: &Cx<'_, '_>, [a, b, c]: [f64; 3]) -> Out {
    let dtype = crate::ops::cast::target(cx.int("output_datatype", 1))?;
    let size = crate::ops::constant_of_shape::sizes(&cx.known_ints(0)?)?.first().copied().unwrap_or(0);
    let periodic = cx.int("periodic", 1) != 0;
    listed(&[size])?;
    let span = if periodic { size } else { size.saturating_sub(1).max(1) } as f64;
    let at = |n: usize| 2.0 * std::f64::consts::PI * n as f64 / span;
    let data = (0..size).map(|n| a - b * at(n).cos() + c * (2.0 * at(n)).cos()).collect();
    one(cx.host_constant(&Host { ty: TensorType::new(dtype, [size]), data: Data::Floats(data) })?)
}
