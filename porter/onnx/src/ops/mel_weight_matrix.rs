//! `MelWeightMatrix`: weights from frequencies to mel bins, known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__MelWeightMatrix.html>
//! Versions: 17.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let scalar = |i: usize| -> Result<f64, Fault> { Ok(cx.known(cx.x(i)?)?.to_floats().first().copied().unwrap_or(0.0)) };
    let (bins, length, rate, low, high) = (scalar(0)?, scalar(1)?, scalar(2)?, scalar(3)?, scalar(4)?);
    let dtype = crate::ops::cast::target(cx.int("output_datatype", 1))?;
    let (bins, rows) = (bins as usize, (length / 2.0).floor().max(0.0) as usize);
    let rows = rows.saturating_add(1);
    listed(&[bins, rows])?;
    let mel = |f: f64| 2595.0 * (1.0 + f / 700.0).log10();
    let step = (mel(high) - mel(low)) / (bins + 2) as f64;
    let edge = |i: usize| {
        let f = 700.0 * (10.0_f64.powf((i as f64 * step + mel(low)) / 2595.0) - 1.0);
        ((length + 1.0) * f / rate).floor() as i64
    };
    let mut data = vec![0.0; rows * bins];
    for bin in 0..bins {
        let (left, middle, right) = (edge(bin), edge(bin + 1), edge(bin + 2));
        for at in left.max(0)..=right.min(rows as i64) {
            let weight = if at <= middle {
                if middle == left { f64::from(u8::from(at == middle)) } else { (at - left) as f64 / (middle - left) as f64 }
            } else if at < right {
                (right - at) as f64 / (right - middle) as f64
            } else {
                continue;
            };
            if let Some(slot) = usize::try_from(at).ok().filter(|&at| at < rows).and_then(|at| data.get_mut(at * bins + bin)) {
                *slot = weight;
            }
        }
    }
    one(cx.host_constant(&Host { ty: TensorType::new(dtype, [rows, bins]), data: Data::Floats(data) })?)
}
