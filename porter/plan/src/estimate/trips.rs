//! How often loops run.

use crate::hlo::{Computation, Instruction, Module};

/// How often a `while` runs its body: as the compiler notes it, or by a counter that starts at a constant,
/// grows by a constant, and is compared with a constant. None where it is neither.
pub(super) fn trips(module: &Module, within: &Computation, instruction: &Instruction) -> Option<u64> {
    if instruction.trip_count.is_some() {
        return instruction.trip_count;
    }
    let computation = |opcode: &dyn Fn(&Computation) -> bool| {
        instruction.calls.iter().filter_map(|&call| module.computations.get(call)).find(|c| opcode(c))
    };
    let is_condition = |c: &Computation| c.result().is_some_and(|root| root.opcode == "compare");
    let condition = computation(&is_condition)?;
    let body = computation(&|c| !is_condition(c))?;
    let compare = condition.result()?;
    let (counter, limit) = counter_and_limit(condition, compare)?;
    let start =
        element(within, within.operands(instruction).next()?, counter).and_then(|x| value(within, x))?;
    let step = step(body, counter)?;
    if step <= 0 {
        return None;
    }
    let end = match compare.direction.as_str() {
        "LT" | "NE" => limit,
        "LE" => limit.checked_add(1)?,
        _ => return None,
    };
    let length = u64::try_from(end.checked_sub(start)?).unwrap_or(0);
    Some(length.div_ceil(step.unsigned_abs()))
}

/// The element of the loop's state that is compared, and the constant that it is compared with.
fn counter_and_limit(condition: &Computation, compare: &Instruction) -> Option<(usize, i64)> {
    let mut operands = condition.operands(compare);
    let (left, right) = (through(condition, operands.next()?), operands.next()?);
    let counter = (left.opcode == "get-tuple-element").then_some(left.tuple_index)?;
    Some((counter, value(condition, right)?))
}

/// What the body adds to the counter.
fn step(body: &Computation, counter: usize) -> Option<i64> {
    let next = through(body, element(body, body.result()?, counter)?);
    let mut operands = body.operands(next);
    let (a, b) = (operands.next()?, operands.next()?);
    let is_counter = |x: &Instruction| {
        let x = through(body, x);
        x.opcode == "get-tuple-element" && x.tuple_index == counter
    };
    match next.opcode.as_str() {
        "add" if is_counter(a) => value(body, b),
        "add" if is_counter(b) => value(body, a),
        _ => None,
    }
}

fn element<'a>(within: &'a Computation, tuple: &'a Instruction, index: usize) -> Option<&'a Instruction> {
    let tuple = through(within, tuple);
    (tuple.opcode == "tuple").then(|| within.operands(tuple).nth(index)).flatten()
}

fn value(within: &Computation, instruction: &Instruction) -> Option<i64> {
    through(within, instruction).constant
}

/// Past copies and bitcasts, which do not change a value.
fn through<'a>(within: &'a Computation, mut instruction: &'a Instruction) -> &'a Instruction {
    // A chain is no longer than the computation, unless it is a ring.
    for _ in 0..within.instructions.len() {
        if !matches!(instruction.opcode.as_str(), "copy" | "bitcast" | "copy-done" | "copy-start") {
            break;
        }
        let Some(operand) = within.operands(instruction).next() else { break };
        instruction = operand;
    }
    instruction
}
