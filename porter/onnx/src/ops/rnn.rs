//! `RNN`: a plain recurrence, unrolled over time.
//!
//! <https://onnx.ai/onnx/operators/onnx__RNN.html>
//! Versions: 1, 7, 14, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    recurrent::run(cx, &["Tanh"], 1, |cell, x, states| {
        let cx = cell.cx;
        let mut sum = cx.add(x, cell.recur(states.at(0)?, 0, 1)?)?;
        if let Some(bias) = cell.bias {
            sum = cx.add(sum, cell.part(bias, 1, cx.dims(x).at(0)?)?)?;
        }
        Ok(vec![cell.activate(sum, 0)?])
    })
}

use crate::recurrent;
