//! `GRU`: gated recurrent units, unrolled over time.
//!
//! <https://onnx.ai/onnx/operators/onnx__GRU.html>
//! Versions: 1, 3, 7, 14, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let after = cx.int("linear_before_reset", 0) != 0;
    recurrent::run(cx, &["Sigmoid", "Tanh"], 1, |cell, x, states| {
        let (cx, h, batch) = (cell.cx, states.at(0)?, cell.cx.dims(x).at(0)?);
        let bias = |gate: usize| cell.bias.map(|bias| cell.part(bias, 3 + gate, batch)).transpose();
        let with_bias = |v: Value, gate: usize| -> One {
            match bias(gate)? {
                Some(bias) => Ok(cx.add(v, bias)?),
                None => Ok(v),
            }
        };
        let gate = |index: usize| -> One {
            let sum = cx.add(cell.gate(x, index)?, with_bias(cell.recur(h, index, index + 1)?, index)?)?;
            cell.activate(sum, 0)
        };
        let (update, reset) = (gate(0)?, gate(1)?);
        let recurrence = if after {
            cx.multiply(reset, with_bias(cell.recur(h, 2, 3)?, 2)?)?
        } else {
            with_bias(cell.recur(cx.multiply(reset, h)?, 2, 3)?, 2)?
        };
        let candidate = cell.activate(cx.add(cell.gate(x, 2)?, recurrence)?, 1)?;
        let rest = cx.subtract(cx.full_like(update, 1.0)?, update)?;
        Ok(vec![cx.add(cx.multiply(rest, candidate)?, cx.multiply(update, h)?)?])
    })
}

use crate::recurrent;
