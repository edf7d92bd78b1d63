//! A graph at work on a plugin.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use host_memory::AlignedBytes;
use porter_ir::{Program, TensorType};
use porter_onnx::Recorded;
use porter_rewrite::CompilerFlag;
use porter_runtime::{
    Arg, DeviceTensor, HostTensor, LoadedExecutable, Placement, SINGLE_YNN_OPS, States, Step, Weights,
};

use super::{
    Graph,
    prepared::{Prepared, prepare},
};
use crate::{Compilable, Engine, PipelineError, Resident};

/// A graph's products may have one number, repeated, as a factor: `ConstantOfShape` makes such.
const FLAGS: [CompilerFlag; 1] = [CompilerFlag::text(SINGLE_YNN_OPS.0, SINGLE_YNN_OPS.1)];

/// A program of a graph, bound to its weights on a device.
pub struct Running<'a> {
    engine: &'a Engine,
    program: Program,
    executable: LoadedExecutable,
    /// By the names of inputs: weights, and what was computed of them.
    resident: Weights,
}

impl Graph {
    /// Compiles a program of this graph, loads its weights, and computes what depends on them alone. Also says what
    /// that took.
    pub fn bring_up<'a>(
        &self,
        engine: &'a Engine,
        program: Program,
    ) -> Result<(Running<'a>, Resident), PipelineError> {
        let started = Instant::now();
        let flags = if engine.client.platform() == "cpu" { &FLAGS[..] } else { &[] };
        let flagged = |program: &Program| Compilable { flags: flags.to_vec(), ..Compilable::from(program) };
        let Prepared { weights, main: program } = prepare(program)?;
        let cached = engine.compile(&flagged(&program))?;
        let before =
            weights.map(|weights| Ok::<_, PipelineError>((engine.compile(&flagged(&weights))?, weights)));
        let before = before.transpose()?;
        let (compile, started) = (started.elapsed(), Instant::now());
        let mut compiled = vec![cached.outcome];
        let mut resident = self.weights(engine, &program)?;
        if let Some((cached, weights)) = before {
            compiled.push(cached.outcome);
            let loaded = self.weights(engine, &weights)?;
            let step = Step::new(&weights.entry(), cached.executable, &engine.devices, &loaded)?;
            let made = step.run(&[], &mut States::zeros(&engine.devices, &weights.entry())?)?;
            for (name, tensor) in made {
                resident.insert(name, Arc::new(engine.devices.upload(&tensor, &Placement::One)?));
            }
        }
        let weight_bytes = resident.values().map(|buffer| buffer.ty().host_bytes()).sum();
        let took = Resident { steps: Vec::new(), compile, compiled, load: started.elapsed(), weight_bytes };
        Ok((Running { engine, program, executable: cached.executable, resident }, took))
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

impl Running<'_> {
    /// The results on recorded inputs. Inputs that the program has as constants are left out; all that it lacks or
    /// takes in another type are reported.
    pub fn run(&self, inputs: &[Recorded]) -> Result<BTreeMap<String, HostTensor>, PipelineError> {
        let uploads = self.upload(inputs)?;
        let mut given = uploads.iter();
        let inputs = self.program.inputs().iter();
        let held = inputs.filter_map(|input| match self.resident.get(&input.name) {
            Some(tensor) => Some(&**tensor),
            None => given.next(),
        });
        let args = held.flat_map(DeviceTensor::parts).map(Arg::Keep).collect();
        let values = self.executable.execute(args)?;
        let outputs = self.program.outputs().iter().zip(values);
        outputs.map(|(output, buffer)| Ok((output.name.clone(), buffer.download()?))).collect()
    }

    /// The arguments on the device, in the order of the program's inputs.
    fn upload(&self, inputs: &[Recorded]) -> Result<Vec<DeviceTensor>, PipelineError> {
        let (mut uploads, mut problems) = (Vec::new(), Vec::new());
        for wanted in self.program.inputs().iter().filter(|i| !self.resident.contains_key(&i.name)) {
            let ty = self.program.ty(wanted.value);
            match inputs.iter().find(|input| input.name == wanted.name) {
                Some(input) if input.ty == *ty => {
                    let bytes = Arc::new(AlignedBytes::copy_of(&input.bytes));
                    let tensor = HostTensor::new(input.ty.clone(), bytes)?;
                    uploads.push(self.engine.devices.upload(&tensor, &Placement::One)?);
                }
                Some(input) => {
                    problems.push(format!("input {:?} is {}, the graph takes {ty}", input.name, input.ty));
                }
                None => problems.push(format!("input {:?} is missing, the graph takes {ty}", wanted.name)),
            }
        }
        if problems.is_empty() { Ok(uploads) } else { Err(PipelineError::Usage(problems.join("\n"))) }
    }
}
