//! `GlobalAveragePool`: the mean over space.
//!
//! <https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html>
//! Versions: 1, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let x = cx.x(0)?;
    let y = mean(cx, x, &(2..cx.rank(x)).collect::<Vec<_>>())?;
    // Without it XLA's CPU backend computes the mean once more inside of what takes it, and contracts its
    // multiplication with a subtraction there: `x - max(x)` of a softmax is then off by half a unit in the
    // last place of `x`, which is 512 where `x` is 1e10 (light_squeezenet), and exp(512) is infinite.
    Ok(cx.optimization_barrier(&[y])?.into_iter().map(Item::from).collect())
}
