//! A graph at work on a plugin.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use host_memory::AlignedBytes;
use porter_ir::{InputRole, Program, TensorType};
use porter_onnx::Recorded;
use porter_rewrite::CompilerFlag;
use porter_runtime::{HostTensor, Placement, SINGLE_YNN_OPS, States, Step, Weights};

use super::Graph;
use crate::{Engine, PipelineError, Resident};

/// A graph's products may have one number, repeated, as a factor: `ConstantOfShape` makes such.
const FLAGS: [CompilerFlag; 1] = [CompilerFlag::text(SINGLE_YNN_OPS.0, SINGLE_YNN_OPS.1)];

/// A program of a graph, bound to its weights on a device.
pub struct Running<'a> {
    engine: &'a Engine,
    program: Program,
    step: Step,
}

impl Graph {
    /// Compiles a program of this graph, and loads its weights. Also says what that took.
    pub fn bring_up<'a>(
        &self,
        engine: &'a Engine,
        program: Program,
    ) -> Result<(Running<'a>, Resident), PipelineError> {
        let started = Instant::now();
        let on_cpu = engine.client.platform() == "cpu";
        let cached = engine.compile(&program, if on_cpu { &FLAGS } else { &[] })?;
        let (compile, started) = (started.elapsed(), Instant::now());
        let weights = self.weights(engine, &program)?;
        let weight_bytes = weights.values().map(|buffer| buffer.ty().host_bytes()).sum();
        let step = Step::new(&program, cached.executable, &engine.devices, &weights)?;
        let took = Resident {
            steps: Vec::new(),
            compile,
            compiled: vec![cached.outcome],
            load: started.elapsed(),
            weight_bytes,
        };
        Ok((Running { engine, program, step }, took))
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
    /// The results on recorded inputs. Inputs that the program has as constants are left out; all others that
    /// it does not take, takes in another type, or lacks, are reported.
    pub fn run(&self, inputs: &[Recorded]) -> Result<BTreeMap<String, HostTensor>, PipelineError> {
        let arguments = self.arguments(inputs)?;
        let arguments: Vec<(&str, HostTensor)> =
            arguments.iter().map(|(name, tensor)| (*name, tensor.clone())).collect();
        let mut states = States::zeros(&self.engine.devices, &self.program)?;
        Ok(self.step.run(&arguments, &mut states)?)
    }

    /// The inputs that the program takes.
    fn arguments<'r>(&self, inputs: &'r [Recorded]) -> Result<Vec<(&'r str, HostTensor)>, PipelineError> {
        let takes = |name: &str| {
            let mut arguments = self.program.inputs().iter().filter(|i| i.role == InputRole::Argument);
            arguments.any(|input| input.name == name)
        };
        let taken = inputs.iter().filter(|input| takes(&input.name));
        let tensor = |input: &'r Recorded| {
            let bytes = Arc::new(AlignedBytes::copy_of(&input.bytes));
            Ok((input.name.as_str(), HostTensor::new(input.ty.clone(), bytes)?))
        };
        taken.map(tensor).collect()
    }
}
