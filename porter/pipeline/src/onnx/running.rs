//! A graph at work on a plugin.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use host_memory::AlignedBytes;
use porter_ir::{Entry, InputRole, Program, TensorType};
use porter_onnx::Recorded;
use porter_rewrite::CompilerFlag;
use porter_runtime::{HostTensor, Placement, SINGLE_YNN_OPS, States, Step, Weights};

use super::{Graph, prepared::prepare};
use crate::{Compilable, Engine, PipelineError, Resident};

/// A graph's products may have one number, repeated, as a factor: `ConstantOfShape` makes such.
const FLAGS: [CompilerFlag; 1] = [CompilerFlag::text(SINGLE_YNN_OPS.0, SINGLE_YNN_OPS.1)];

/// A program of a graph, bound to its weights on a device.
pub struct Running<'a> {
    engine: &'a Engine,
    entry: Entry,
    step: Step,
}

impl Graph {
    /// Compiles a program of this graph, loads its weights, and computes what depends on them alone. Also says what
    /// that took.
    pub fn bring_up<'a>(
        &self,
        engine: &'a Engine,
        program: Program,
    ) -> Result<(Running<'a>, Resident), PipelineError> {
        let prepared = prepare(program)?;
        let before = prepared.weights.as_ref().map(Compilable::from);
        let load = || {
            let mut all = Weights::new();
            for program in prepared.weights.iter().chain([&prepared.main]) {
                all.extend(self.weights(engine, program)?);
            }
            Ok(all)
        };
        bring_up(engine, &prepared.compilable(), before.as_ref(), load)
    }

    fn weights(&self, engine: &Engine, program: &Program) -> Result<Weights, PipelineError> {
        let weights = porter_onnx::weights(&self.model, program).map_err(PipelineError::Unsupported)?;
        let upload = |(name, (ty, bytes)): (String, (TensorType, Vec<u8>))| {
            let tensor = HostTensor::new(ty, Arc::new(AlignedBytes::copy_of(&bytes)))?;
            Ok::<_, PipelineError>((name, Arc::new(engine.devices.upload(&tensor, &Placement::One)?)))
        };
        weights.into_iter().map(upload).collect()
    }
}

/// Compiles `main` and the program `before` it, whose results are weights of `main`, loads the weights that both
/// read, and computes those.
pub(crate) fn bring_up<'a>(
    engine: &'a Engine,
    main: &Compilable,
    before: Option<&Compilable>,
    load: impl FnOnce() -> Result<Weights, PipelineError>,
) -> Result<(Running<'a>, Resident), PipelineError> {
    let started = Instant::now();
    let flags = if engine.client.platform() == "cpu" { &FLAGS[..] } else { &[] };
    let compile =
        |program: &Compilable| engine.compile(&Compilable { flags: flags.to_vec(), ..program.clone() });
    let cached = compile(main)?;
    let before = before.map(|program| Ok::<_, PipelineError>((program, compile(program)?))).transpose()?;
    let (compile, started) = (started.elapsed(), Instant::now());
    let mut compiled = vec![cached.outcome];
    let mut resident = load()?;
    if let Some((program, cached)) = before {
        compiled.push(cached.outcome);
        let step = Step::new(&program.entry, cached.executable, &engine.devices, &resident)?;
        let made = step.run(&[], &mut States::zeros(&engine.devices, &program.entry)?)?;
        for (name, tensor) in made {
            resident.insert(name, Arc::new(engine.devices.upload(&tensor, &Placement::One)?));
        }
    }
    let entry = main.entry.clone();
    resident.retain(|name, _| {
        entry.inputs.iter().any(|input| input.role == InputRole::Weight && input.name == *name)
    });
    let step = Step::new(&entry, cached.executable, &engine.devices, &resident)?;
    let weight_bytes = resident.values().map(|buffer| buffer.ty().host_bytes()).sum();
    let took = Resident { steps: Vec::new(), compile, compiled, load: started.elapsed(), weight_bytes };
    Ok((Running { engine, entry, step }, took))
}

impl Running<'_> {
    /// The results on recorded inputs. Inputs that the program has as constants are left out; all that it lacks or
    /// takes in another type are reported.
    pub fn run(&self, inputs: &[Recorded]) -> Result<BTreeMap<String, HostTensor>, PipelineError> {
        let arguments = arguments(&self.entry, inputs)?;
        let mut states = States::zeros(&self.engine.devices, &self.entry)?;
        Ok(self.step.run(&arguments, &mut states)?)
    }
}

/// The arguments of a program, of recorded inputs.
fn arguments<'a>(entry: &'a Entry, inputs: &[Recorded]) -> Result<Vec<(&'a str, HostTensor)>, PipelineError> {
    let (mut arguments, mut problems) = (Vec::new(), Vec::new());
    for wanted in entry.inputs.iter().filter(|input| input.role == InputRole::Argument) {
        let (name, ty) = (wanted.name.as_str(), &wanted.ty);
        match inputs.iter().find(|input| input.name == name) {
            Some(input) if input.ty == *ty => {
                let bytes = Arc::new(AlignedBytes::copy_of(&input.bytes));
                arguments.push((name, HostTensor::new(input.ty.clone(), bytes)?));
            }
            Some(input) => problems.push(format!("input {name:?} is {}, the graph takes {ty}", input.ty)),
            None => problems.push(format!("input {name:?} is missing, the graph takes {ty}")),
        }
    }
    if problems.is_empty() { Ok(arguments) } else { Err(PipelineError::Usage(problems.join("\n"))) }
}
