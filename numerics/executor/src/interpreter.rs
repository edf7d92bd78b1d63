//! Running regions op by op.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    rc::Rc,
};

use porter_ir::{Op, OpId, Program, RegionId, TensorType, Value, program::OpData};

use crate::{
    ExecuteError, Floats,
    array::{Array, check_size},
    failure::{Failure, Outcome},
    executor::missing,
    frame::Frame,
    ops,
};

/// One op to run, what it reads and what nobody reads afterwards.
pub(crate) struct Step {
    pub(crate) op: OpId,
    /// Operands, and what its regions read from outside.
    pub(crate) reads: Vec<Value>,
    /// Operands that this op reads last, and its regions do not read.
    last: HashSet<Value>,
    /// Other values that are not read after this op, results of its own among them.
    dropped: Vec<Value>,
}

/// The ops of a region that its results need, in order.
pub(crate) struct Schedule {
    pub(crate) steps: Vec<Step>,
}

/// An op about to run.
pub(crate) struct Call<'a> {
    pub(crate) interpreter: &'a Interpreter<'a>,
    pub(crate) data: &'a OpData,
    /// Its operands; an array that nobody else reads is shared with nobody.
    pub(crate) operands: Vec<Array>,
    /// The types that its results are held in.
    pub(crate) results: Vec<TensorType>,
    /// What its regions see from outside.
    pub(crate) frame: &'a Frame<'a>,
}

impl Call<'_> {
    /// Exactly `N` operands.
    pub(crate) fn operands<const N: usize>(&mut self) -> Outcome<[Array; N]> {
        let operands = std::mem::take(&mut self.operands);
        let found = operands.len();
        operands.try_into().map_err(|_| format!("takes {N} operands, found {found}").into())
    }

    /// The type of its one result.
    pub(crate) fn result(&self) -> Outcome<&TensorType> {
        self.results.first().ok_or_else(|| "has no result".into())
    }

    /// Region `index`.
    pub(crate) fn region(&self, index: usize) -> Outcome<RegionId> {
        self.data.regions.get(index).copied().ok_or_else(|| format!("has no region {index}").into())
    }
}

/// A program being run.
pub(crate) struct Interpreter<'p> {
    pub(crate) program: &'p Program,
    pub(crate) floats: Floats,
    schedules: RefCell<HashMap<RegionId, Rc<Schedule>>>,
    depth: Cell<usize>,
}

impl<'p> Interpreter<'p> {
    pub(crate) fn new(program: &'p Program, floats: Floats) -> Self {
        Self { program, floats, schedules: RefCell::default(), depth: Cell::new(0) }
    }

    /// How a region is run, worked out once.
    pub(crate) fn schedule(&self, region: RegionId) -> Rc<Schedule> {
        if let Some(known) = self.schedules.borrow().get(&region) {
            return Rc::clone(known);
        }
        let schedule = Rc::new(self.plan(region));
        self.schedules.borrow_mut().insert(region, Rc::clone(&schedule));
        schedule
    }

    /// Walks backwards from the results: the first use that is met is the last.
    fn plan(&self, region: RegionId) -> Schedule {
        let data = self.program.region(region);
        let mut live: HashSet<Value> = data.results.iter().copied().collect();
        let mut steps = Vec::new();
        for &id in data.ops.iter().rev() {
            let op = self.program.op(id);
            let has_effect = matches!(&op.op, Op::CustomCall(call) if call.has_side_effect);
            if !has_effect && !op.results.iter().any(|result| live.contains(result)) {
                continue;
            }
            let captured: Vec<Value> = op.regions.iter().flat_map(|&r| self.program.captures(r)).collect();
            let unread = |value: &&Value| !live.contains(value);
            let mut dropped: Vec<Value> =
                op.results.iter().chain(&captured).filter(unread).copied().collect();
            let last: HashSet<Value> =
                op.operands.iter().filter(unread).filter(|v| !captured.contains(v)).copied().collect();
            dropped.retain(|value| !last.contains(value));
            let reads = [&op.operands[..], &captured].concat();
            live.extend(&reads);
            steps.push(Step { op: id, reads, last, dropped });
        }
        steps.reverse();
        Schedule { steps }
    }

    /// Runs one op of the region whose values are in `frame`.
    pub(crate) fn step(&self, step: &Step, frame: &mut Frame<'_>) -> Result<(), ExecuteError> {
        let data = self.program.op(step.op);
        let mut operands = Vec::with_capacity(data.operands.len());
        for (i, &value) in data.operands.iter().enumerate() {
            let taken = step.last.contains(&value) && !data.operands[i + 1..].contains(&value);
            let array = if taken { frame.take(value) } else { frame.get(value) };
            operands.push(array.ok_or_else(|| missing(self.program, value))?);
        }
        let results = data.results.iter().map(|&value| self.floats.held(self.program.ty(value))).collect();
        let call = Call { interpreter: self, data, operands, results, frame };
        let outcome = execute(call).map_err(|failure| self.error(data, failure))?;
        for (&value, array) in data.results.iter().zip(outcome) {
            frame.set(value, array);
        }
        for &value in &step.dropped {
            frame.take(value);
        }
        Ok(())
    }

    fn error(&self, data: &OpData, failure: Failure) -> ExecuteError {
        match failure {
            Failure::Within(error @ ExecuteError::Op { .. }) => error,
            Failure::Within(error) => self.op_error(data, error.to_string()),
            Failure::Problem(problem) => self.op_error(data, problem),
        }
    }

    fn op_error(&self, data: &OpData, problem: String) -> ExecuteError {
        ExecuteError::Op {
            path: self.program.path(data.path).to_owned(),
            op: data.op.as_operation().name(),
            operands: data.operands.iter().map(|&value| self.program.ty(value).clone()).collect(),
            problem,
        }
    }

    /// Runs a region on its arguments, with the values in `around` in sight.
    pub(crate) fn region(
        &self,
        region: RegionId,
        arguments: Vec<Array>,
        around: Option<&Frame<'_>>,
    ) -> Result<Vec<Array>, Failure> {
        const DEEPEST: usize = 100;
        if self.depth.get() >= DEEPEST {
            return Err(format!("regions are nested more than {DEEPEST} deep").into());
        }
        self.depth.set(self.depth.get() + 1);
        let results = self.region_at_depth(region, arguments, around);
        self.depth.set(self.depth.get() - 1);
        results
    }

    fn region_at_depth(
        &self,
        region: RegionId,
        arguments: Vec<Array>,
        around: Option<&Frame<'_>>,
    ) -> Result<Vec<Array>, Failure> {
        let mut frame = Frame::within(around);
        let data = self.program.region(region);
        for (&value, array) in data.arguments.iter().zip(arguments) {
            frame.set(value, array);
        }
        for step in &self.schedule(region).steps {
            self.step(step, &mut frame)?;
        }
        let results =
            data.results.iter().map(|&value| frame.get(value).ok_or_else(|| missing(self.program, value)));
        Ok(results.collect::<Result<_, _>>()?)
    }
}

/// The op's results, of the types that the program says.
fn execute(call: Call<'_>) -> Outcome<Vec<Array>> {
    for ty in &call.results {
        check_size(ty)?;
    }
    let expected = call.results.clone();
    let arrays = ops::execute(call)?;
    if arrays.iter().map(Array::ty).eq(&expected) {
        return Ok(arrays);
    }
    let list = |types: Vec<&TensorType>| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (found, expected) = (list(arrays.iter().map(Array::ty).collect()), list(expected.iter().collect()));
    Err(format!("gave {found}, expected {expected}").into())
}
