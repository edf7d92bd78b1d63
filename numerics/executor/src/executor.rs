//! Running a whole program: inputs when they are first needed, values until their last use.

use std::collections::{BTreeMap, HashMap};

use porter_ir::{Input, Program, TensorType, Value};

use crate::{ExecuteError, Floats, Tensor, array::Array, frame::Frame, interpreter::Interpreter};

/// Runs programs on the host.
#[derive(Clone, Copy, Debug)]
pub struct Executor {
    floats: Floats,
}

impl Executor {
    /// One that computes floats so.
    pub fn new(floats: Floats) -> Self {
        Self { floats }
    }

    /// Runs `program` and gives its outputs by name, states under their state's name.
    ///
    /// `input` is asked for each input when it is first needed, and not for inputs that nothing reads; a
    /// value is dropped after its last use, so memory is bounded by what is live. An input comes in its
    /// declared type or, where floats are computed in f64, as f64 too.
    pub fn run<E: From<ExecuteError>>(
        &self,
        program: &Program,
        mut input: impl FnMut(&Input, &TensorType) -> Result<Tensor, E>,
    ) -> Result<BTreeMap<String, Tensor>, E> {
        let interpreter = Interpreter::new(program, self.floats);
        let schedule = interpreter.schedule(program.body());
        let mut unread: HashMap<Value, &Input> = program.inputs().iter().map(|i| (i.value, i)).collect();
        let mut frame = Frame::default();
        for step in &schedule.steps {
            for value in &step.reads {
                if let Some(wanted) = unread.remove(value) {
                    frame.set(*value, self.read(program, wanted, &mut input)?);
                }
            }
            interpreter.step(step, &mut frame)?;
        }
        let mut outputs = BTreeMap::new();
        for output in program.outputs() {
            if let Some(wanted) = unread.remove(&output.value) {
                frame.set(output.value, self.read(program, wanted, &mut input)?);
            }
            let array = frame.get(output.value).ok_or_else(|| missing(program, output.value))?;
            outputs.insert(output.name.clone(), array.into_tensor()?);
        }
        Ok(outputs)
    }

    fn read<E: From<ExecuteError>>(
        self,
        program: &Program,
        wanted: &Input,
        input: &mut impl FnMut(&Input, &TensorType) -> Result<Tensor, E>,
    ) -> Result<Array, E> {
        let declared = program.ty(wanted.value);
        let held = self.floats.held(declared);
        let given = input(wanted, declared)?;
        if given.ty() != declared && *given.ty() != held {
            let (found, expected) = (given.ty().clone(), declared.clone());
            return Err(ExecuteError::Input { name: wanted.name.clone(), found, expected }.into());
        }
        Ok(Array::from_tensor(given, &held)?)
    }
}

/// A value that no op gave: programs that a builder made have none.
pub(crate) fn missing(program: &Program, value: Value) -> ExecuteError {
    let problem = format!("{value}: {} is not defined before it is read", program.ty(value));
    ExecuteError::Op { path: String::new(), op: "value", operands: Vec::new(), problem }
}
