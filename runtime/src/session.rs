//! Programs at work: compiled once, their weights and states resident on devices.

use std::{collections::BTreeMap, sync::Arc};

use porter_ir::{Entry, InputRole, OutputRole, TensorType};

use crate::{Arg, DeviceTensor, Devices, Error, HostTensor, LoadedExecutable, Placement, Result, Signature};

/// Weights resident on devices, by the names that the programs' weight inputs have.
pub type Weights = BTreeMap<String, Arc<DeviceTensor>>;

impl Signature {
    /// What a program takes and gives on one device; its states are donated.
    pub fn of(entry: &Entry) -> Self {
        let inputs = entry.inputs.iter();
        let states = inputs.clone().enumerate().filter(|(_, input)| input.role == InputRole::State);
        Self {
            donated: states.map(|(i, _)| i).collect(),
            inputs: inputs.map(|input| entry.part_type(input)).collect(),
            outputs: entry.outputs.iter().map(|output| entry.part_type(output)).collect(),
        }
    }
}

/// The buffers that a program keeps between its runs, such as a KV cache.
#[derive(Debug)]
pub struct States {
    tensors: BTreeMap<String, DeviceTensor>,
}

impl States {
    /// Zeros for every state input of a program, on those of `devices` that run it.
    pub fn zeros(devices: &Devices, entry: &Entry) -> Result<Self> {
        let states = entry.inputs.iter().filter(|input| input.role == InputRole::State);
        let zeros = states.map(|state| {
            let tensor = HostTensor::zeros(state.ty.clone())?;
            Ok((state.name.clone(), devices.upload(&tensor, &Placement::of(entry, state))?))
        });
        Ok(Self { tensors: zeros.collect::<Result<_>>()? })
    }

    fn take(&mut self, name: &str) -> Result<DeviceTensor> {
        let problem =
            || format!("state {name:?} is missing: it was never made, or an earlier run failed with it");
        self.tensors.remove(name).ok_or_else(|| Error::Signature(vec![problem()]))
    }
}

/// A compiled program bound to its weights. Runs as often as asked, from any thread.
#[derive(Debug)]
pub struct Step {
    executable: LoadedExecutable,
    devices: Devices,
    inputs: Vec<Slot>,
    outputs: Vec<Output>,
}

#[derive(Debug)]
enum Slot {
    Weight(Arc<DeviceTensor>),
    Argument(String, TensorType, Placement),
    State(String),
}

#[derive(Debug)]
struct Output {
    role: OutputRole,
    name: String,
    ty: TensorType,
    placement: Placement,
}

impl Step {
    /// Binds `executable`, compiled from the program of `entry`, to `weights` on those of `devices` that run
    /// it. Every weight that is missing, of another type or laid out otherwise is reported.
    pub fn new(
        entry: &Entry,
        executable: LoadedExecutable,
        devices: &Devices,
        weights: &Weights,
    ) -> Result<Self> {
        let mut inputs = Vec::with_capacity(entry.inputs.len());
        let mut problems = Vec::new();
        for input in &entry.inputs {
            let (name, ty) = (&input.name, &input.ty);
            let placement = Placement::of(entry, input);
            match (input.role, weights.get(name)) {
                (InputRole::Argument, _) => inputs.push(Slot::Argument(name.clone(), ty.clone(), placement)),
                (InputRole::State, _) => inputs.push(Slot::State(name.clone())),
                (InputRole::Weight, Some(w)) if w.ty() != ty => {
                    problems.push(format!("weight {name:?} is {}, the program takes {ty}", w.ty()));
                }
                (InputRole::Weight, Some(w)) if *w.placement() != placement => problems.push(format!(
                    "weight {name:?} lies as {}, the program takes it as {placement}",
                    w.placement()
                )),
                (InputRole::Weight, Some(w)) => inputs.push(Slot::Weight(Arc::clone(w))),
                (InputRole::Weight, None) => {
                    problems.push(format!("weight {name:?} is missing, the program takes {ty}"));
                }
            }
        }
        if !problems.is_empty() {
            return Err(Error::Signature(problems));
        }
        let outputs = entry.outputs.iter().map(|output| Output {
            role: output.role,
            name: output.name.clone(),
            ty: output.ty.clone(),
            placement: Placement::of(entry, output),
        });
        Ok(Self { executable, devices: devices.first(entry.devices())?, inputs, outputs: outputs.collect() })
    }

    /// The compiled program.
    pub fn executable(&self) -> &LoadedExecutable {
        &self.executable
    }

    /// Runs with `arguments` by name; `states` move on to their next values. Returns the results by
    /// name, each whole whatever devices its parts lie on. After an error the states that were given away
    /// are gone from `states`.
    pub fn run(
        &self,
        arguments: &[(&str, HostTensor)],
        states: &mut States,
    ) -> Result<BTreeMap<String, HostTensor>> {
        let uploads = self.upload(arguments)?;
        let mut given = uploads.iter();
        let mut args: Vec<Vec<Arg<'_>>> = Vec::new();
        args.resize_with(self.devices.len(), || Vec::with_capacity(self.inputs.len()));
        for slot in &self.inputs {
            match slot {
                Slot::Weight(weight) => keep(weight, &mut args),
                Slot::Argument(..) => given.next().into_iter().for_each(|argument| keep(argument, &mut args)),
                Slot::State(name) => {
                    let parts = states.take(name)?.into_parts().into_iter();
                    args.iter_mut().zip(parts).for_each(|(args, part)| args.push(Arg::Donate(part)));
                }
            }
        }
        let mut values: Vec<_> =
            self.executable.start(args)?.wait()?.into_iter().map(Vec::into_iter).collect();
        let mut results = BTreeMap::new();
        for output in &self.outputs {
            let parts = values.iter_mut().filter_map(Iterator::next).collect();
            let tensor = DeviceTensor::new(output.ty.clone(), output.placement.clone(), parts)?;
            match output.role {
                OutputRole::State => drop(states.tensors.insert(output.name.clone(), tensor)),
                OutputRole::Result => drop(results.insert(output.name.clone(), tensor.download()?)),
            }
        }
        Ok(results)
    }

    /// The arguments on the devices, in the order of the program's inputs.
    fn upload(&self, arguments: &[(&str, HostTensor)]) -> Result<Vec<DeviceTensor>> {
        let mut uploads = Vec::new();
        let mut problems = Vec::new();
        for slot in &self.inputs {
            let Slot::Argument(name, ty, placement) = slot else { continue };
            match arguments.iter().find(|(given, _)| given == name) {
                Some((_, tensor)) if tensor.ty() == ty => {
                    uploads.push(self.devices.upload(tensor, placement)?);
                }
                Some((_, tensor)) => {
                    problems.push(format!("argument {name:?} is {}, the program takes {ty}", tensor.ty()));
                }
                None => problems.push(format!("argument {name:?} is missing, the program takes {ty}")),
            }
        }
        let is_input = |given: &str| {
            self.inputs.iter().any(|slot| matches!(slot, Slot::Argument(name, ..) if name == given))
        };
        let unknown = arguments.iter().filter(|(given, _)| !is_input(given));
        problems.extend(unknown.map(|(given, _)| format!("the program has no argument {given:?}")));
        if problems.is_empty() { Ok(uploads) } else { Err(Error::Signature(problems)) }
    }
}

/// Gives each device its part of `tensor` to read.
fn keep<'a>(tensor: &'a DeviceTensor, args: &mut [Vec<Arg<'a>>]) {
    args.iter_mut().zip(tensor.parts()).for_each(|(args, part)| args.push(Arg::Keep(part)));
}
