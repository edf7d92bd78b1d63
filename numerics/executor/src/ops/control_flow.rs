//! `case`, `if`, `while` and `composite`: regions run as they are.

use crate::{array::Array, failure::Outcome, interpreter::Call};

/// The branch of that number; the last one where there is none.
pub(super) fn case(mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [index] = call.operands()?;
    let last = call.data.regions.len().saturating_sub(1);
    let index = index.integers().first().copied().unwrap_or(-1);
    let branch = usize::try_from(index).map_or(last, |index| index.min(last));
    call.interpreter.region(call.region(branch)?, Vec::new(), Some(call.frame))
}

pub(super) fn if_(mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [pred] = call.operands()?;
    let branch = usize::from(!pred.lane().truth(0));
    call.interpreter.region(call.region(branch)?, Vec::new(), Some(call.frame))
}

pub(super) fn while_(call: Call<'_>) -> Outcome<Vec<Array>> {
    let (condition, body) = (call.region(0)?, call.region(1)?);
    let (interpreter, frame) = (call.interpreter, call.frame);
    let mut values = call.operands;
    loop {
        let holds = interpreter.region(condition, values.clone(), Some(frame))?;
        if !holds.first().is_some_and(|holds| holds.lane().truth(0)) {
            return Ok(values);
        }
        values = interpreter.region(body, values, Some(frame))?;
    }
}

/// Its decomposition.
pub(super) fn composite(call: Call<'_>) -> Outcome<Vec<Array>> {
    call.interpreter.region(call.region(0)?, call.operands, None)
}
