//! `LSTM`: long short-term memory, unrolled over time.
//!
//! <https://onnx.ai/onnx/operators/onnx__LSTM.html>
//! Versions: 1, 7, 14, 22.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let coupled = cx.int("input_forget", 0) != 0;
    recurrent::run(cx, &["Sigmoid", "Tanh", "Tanh"], 2, |cell, x, states| {
        let (cx, h, c) = (cell.cx, states.at(0)?, states.at(1)?);
        let batch = cx.dims(x).at(0)?;
        let recurrence = cell.recur(h, 0, 4)?;
        let gate = |index: usize| -> One {
            let mut sum = cx.add(cell.gate(x, index)?, cell.gate(recurrence, index)?)?;
            if let Some(bias) = cell.bias {
                sum = cx.add(sum, cell.part(bias, 4 + index, batch)?)?;
            }
            Ok(sum)
        };
        // Peepholes are in the order input, output, forget.
        let peep = |sum: Value, index: usize, c: Value| -> One {
            match cell.peephole {
                Some(p) => Ok(cx.add(sum, cx.multiply(cell.part(p, index, batch)?, c)?)?),
                None => Ok(sum),
            }
        };
        let input = cell.activate(peep(gate(0)?, 0, c)?, 0)?;
        let forget = if coupled {
            cx.subtract(cx.full_like(input, 1.0)?, input)?
        } else {
            cell.activate(peep(gate(2)?, 2, c)?, 0)?
        };
        let candidate = cell.activate(gate(3)?, 1)?;
        let next = cx.add(cx.multiply(forget, c)?, cx.multiply(input, candidate)?)?;
        let output = cell.activate(peep(gate(1)?, 1, next)?, 0)?;
        Ok(vec![cx.multiply(output, cell.activate(next, 2)?)?, next])
    })
}

use crate::recurrent;
