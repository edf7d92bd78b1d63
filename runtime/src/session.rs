//! Programs at work: compiled once, their weights and states resident on a device.

use std::{collections::BTreeMap, sync::Arc};

use porter_ir::{InputRole, OutputRole, Program, TensorType};

use crate::{Arg, Buffer, Device, Error, HostTensor, LoadedExecutable, Result, Signature};

/// Weights resident on a device, by the names that the programs' weight inputs have.
pub type Weights = BTreeMap<String, Arc<Buffer>>;

impl Signature {
    /// What `program` takes and gives on one device; its states are donated.
    pub fn of(program: &Program) -> Self {
        let state = |(i, input): (usize, &porter_ir::Input)| (input.role == InputRole::State).then_some(i);
        Self {
            inputs: program.inputs().iter().map(|i| program.ty(i.value).clone()).collect(),
            donated: program.inputs().iter().enumerate().filter_map(state).collect(),
            outputs: program.outputs().iter().map(|o| program.ty(o.value).clone()).collect(),
        }
    }
}

/// The buffers that a program keeps between its runs, such as a KV cache.
#[derive(Debug)]
pub struct States {
    buffers: BTreeMap<String, Buffer>,
}

impl States {
    /// Zeros on `device` for every state input of `program`.
    pub fn zeros(device: &Device, program: &Program) -> Result<Self> {
        let states = program.inputs().iter().filter(|i| i.role == InputRole::State);
        let buffers = states
            .map(|i| Ok((i.name.clone(), device.upload(&HostTensor::zeros(program.ty(i.value).clone())?)?)))
            .collect::<Result<_>>()?;
        Ok(Self { buffers })
    }

    fn take(&mut self, name: &str) -> Result<Buffer> {
        let problem =
            || format!("state {name:?} is missing: it was never made, or an earlier run failed with it");
        self.buffers.remove(name).ok_or_else(|| Error::Signature(vec![problem()]))
    }
}

/// A compiled program bound to its weights. Runs as often as asked, from any thread.
#[derive(Debug)]
pub struct Step {
    executable: LoadedExecutable,
    device: Device,
    inputs: Vec<Slot>,
    outputs: Vec<(OutputRole, String)>,
}

#[derive(Debug)]
enum Slot {
    Weight(Arc<Buffer>),
    Argument(String, TensorType),
    State(String),
}

impl Step {
    /// Binds `executable`, compiled from `program`, to `weights` on `device`. Every weight that is
    /// missing or of another type is reported.
    pub fn new(
        program: &Program,
        executable: LoadedExecutable,
        device: Device,
        weights: &Weights,
    ) -> Result<Self> {
        let mut inputs = Vec::with_capacity(program.inputs().len());
        let mut problems = Vec::new();
        for input in program.inputs() {
            let ty = program.ty(input.value);
            match (input.role, weights.get(&input.name)) {
                (InputRole::Argument, _) => inputs.push(Slot::Argument(input.name.clone(), ty.clone())),
                (InputRole::State, _) => inputs.push(Slot::State(input.name.clone())),
                (InputRole::Weight, Some(w)) if w.ty() == ty => inputs.push(Slot::Weight(Arc::clone(w))),
                (InputRole::Weight, Some(w)) => {
                    problems.push(format!("weight {:?} is {}, the program takes {ty}", input.name, w.ty()));
                }
                (InputRole::Weight, None) => {
                    problems.push(format!("weight {:?} is missing, the program takes {ty}", input.name));
                }
            }
        }
        if !problems.is_empty() {
            return Err(Error::Signature(problems));
        }
        let outputs = program.outputs().iter().map(|o| (o.role, o.name.clone())).collect();
        Ok(Self { executable, device, inputs, outputs })
    }

    /// The compiled program.
    pub fn executable(&self) -> &LoadedExecutable {
        &self.executable
    }

    /// Runs with `arguments` by name; `states` move on to their next values. Returns the results by
    /// name. After an error the states that were given away are gone from `states`.
    pub fn run(
        &self,
        arguments: &[(&str, HostTensor)],
        states: &mut States,
    ) -> Result<BTreeMap<String, HostTensor>> {
        let uploads = self.upload(arguments)?;
        let mut given = uploads.iter();
        let mut args = Vec::with_capacity(self.inputs.len());
        for slot in &self.inputs {
            match slot {
                Slot::Weight(weight) => args.push(Arg::Keep(weight)),
                Slot::Argument(..) => args.extend(given.next().map(Arg::Keep)),
                Slot::State(name) => args.push(Arg::Donate(states.take(name)?)),
            }
        }
        let values = self.executable.execute(args)?;
        let mut results = BTreeMap::new();
        for ((role, name), buffer) in self.outputs.iter().zip(values) {
            match role {
                OutputRole::State => drop(states.buffers.insert(name.clone(), buffer)),
                OutputRole::Result => drop(results.insert(name.clone(), buffer.download()?)),
            }
        }
        Ok(results)
    }

    /// The arguments on the device, in the order of the program's inputs.
    fn upload(&self, arguments: &[(&str, HostTensor)]) -> Result<Vec<Buffer>> {
        let mut uploads = Vec::new();
        let mut problems = Vec::new();
        for slot in &self.inputs {
            let Slot::Argument(name, ty) = slot else { continue };
            match arguments.iter().find(|(given, _)| given == name) {
                Some((_, tensor)) if tensor.ty() == ty => uploads.push(self.device.upload(tensor)?),
                Some((_, tensor)) => {
                    problems.push(format!("argument {name:?} is {}, the program takes {ty}", tensor.ty()));
                }
                None => problems.push(format!("argument {name:?} is missing, the program takes {ty}")),
            }
        }
        let is_input = |given: &str| {
            self.inputs.iter().any(|slot| matches!(slot, Slot::Argument(name, _) if name == given))
        };
        let unknown = arguments.iter().filter(|(given, _)| !is_input(given));
        problems.extend(unknown.map(|(given, _)| format!("the program has no argument {given:?}")));
        if problems.is_empty() { Ok(uploads) } else { Err(Error::Signature(problems)) }
    }
}
