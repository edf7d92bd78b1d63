//! Running parts of a model's programs: the port's on the plugin, the reference's in the executor.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use half::{bf16, f16};
use porter_executor::{Executor, Floats, Tensor as Array};
use porter_ir::{DType, Input, InputRole, Program, TensorType};
use porter_numerics::{
    View,
    bisect::{Runner, Tensor},
};
use porter_rewrite::{Port, Rewrite, apply};
use porter_runtime::{HostTensor, States};
use porter_weights::{Checkpoint, WeightMap};

use crate::{Compilable, Engine, Opened, PipelineError, Sequences};

/// Lowers parts for the plugin's target, compiles them, and runs them.
pub(super) struct OnPlugin<'a> {
    pub(super) engine: &'a Engine,
    pub(super) checkpoint: &'a dyn Checkpoint,
    pub(super) weights: &'a WeightMap,
    /// The target's rewrites.
    pub(super) rewrites: Vec<&'a dyn Rewrite>,
}

impl Runner<PipelineError> for OnPlugin<'_> {
    fn run(
        &mut self,
        part: &Program,
        arguments: &BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>, PipelineError> {
        let port = Port::new(vec![part.clone()], weights_of(part, self.weights));
        let (port, _) = apply(&self.rewrites, port)?;
        let resident =
            self.engine.bring_up(&Compilable::all(&port), &port.weights, self.checkpoint, |_| ())?;
        let (Some(program), Some(step)) = (port.programs.first(), resident.steps.first()) else {
            return Err(PipelineError::Unsupported("a rewrite took the program away".into()));
        };
        let mut given = Vec::new();
        for input in program.inputs().iter().filter(|i| i.role == InputRole::Argument) {
            if let Some(tensor) = arguments.get(&input.name) {
                given.push((input.name.as_str(), on_host(tensor, program.ty(input.value))?));
            }
        }
        let results = step.run(&given, &mut States::zeros(&self.engine.devices, &program.entry())?)?;
        results.into_iter().map(|(name, tensor)| Ok((name, of_host(&tensor)?))).collect()
    }
}

/// How the weights of a part are made. What it does not read is none of its business.
fn weights_of(part: &Program, all: &WeightMap) -> WeightMap {
    let read = part.inputs().iter().filter(|i| i.role == InputRole::Weight).map(|i| i.name.as_str());
    let tied = |name| all.resolve(name).map(|(to, ..)| to);
    let names: BTreeSet<&str> = read.flat_map(|name| [Some(name), tied(name)]).flatten().collect();
    let mut weights = all.clone();
    weights.retain(|name| names.contains(name));
    weights.tolerate("*", "another part reads it");
    weights
}

/// A tensor as the plugin takes it.
pub(super) fn on_host(tensor: &View<'_>, ty: &TensorType) -> Result<HostTensor, PipelineError> {
    let shape = ty.shape.to_vec();
    if tensor.dtype() == ty.dtype {
        return Ok(HostTensor::new(ty.clone(), Arc::new(tensor.bytes().to_vec()))?);
    }
    let values = tensor.to_f64();
    Ok(match ty.dtype {
        DType::F64 => HostTensor::from_slice(shape, &values)?,
        DType::F32 => HostTensor::from_slice(shape, &map(&values, |x| x as f32))?,
        DType::BF16 => HostTensor::from_slice(shape, &map(&values, |x| bf16::from_f32(x as f32)))?,
        DType::F16 => HostTensor::from_slice(shape, &map(&values, |x| f16::from_f32(x as f32)))?,
        DType::I32 => HostTensor::from_slice(shape, &map(&values, |x| x as i32))?,
        DType::I64 => HostTensor::from_slice(shape, &map(&values, |x| x as i64))?,
        other => {
            let problem = format!("a part takes {other}, and its reference is {}", tensor.dtype());
            return Err(PipelineError::Unsupported(problem));
        }
    })
}

fn map<T>(values: &[f64], f: impl Fn(f64) -> T) -> Vec<T> {
    values.iter().map(|&x| f(x)).collect()
}

/// The arguments of a model's forward program on `sequences`, by name.
pub(super) fn arguments(
    sequences: &Sequences,
    opened: &Opened,
) -> Result<BTreeMap<String, Tensor>, PipelineError> {
    let arguments = sequences.arguments(&opened.model)?.into_iter();
    arguments.map(|(name, tensor)| Ok((name.to_owned(), of_host(&tensor)?))).collect()
}

/// `i32`, as programs take ids, paddings and offsets.
pub(super) fn integers(values: &[i64], shape: &[usize]) -> Result<Tensor, PipelineError> {
    let bytes: Vec<u8> = values.iter().flat_map(|&v| (v as i32).to_le_bytes()).collect();
    owned(&TensorType::new(DType::I32, shape.to_vec()), bytes)
}

/// `i64`, as bundles keep them.
pub(super) fn wide_integers(values: &[i64], shape: &[usize]) -> Result<Tensor, PipelineError> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    owned(&TensorType::new(DType::I64, shape.to_vec()), bytes)
}

/// A tensor that the plugin gave.
pub(super) fn of_host(tensor: &HostTensor) -> Result<Tensor, PipelineError> {
    let ty = tensor.ty();
    owned(ty, tensor.bytes().to_vec())
}

pub(super) fn owned(ty: &TensorType, bytes: Vec<u8>) -> Result<Tensor, PipelineError> {
    View::new(ty.dtype, ty.shape.clone(), bytes).map_err(|e| PipelineError::Measure(e.into()))
}

/// Runs programs in the reference executor, with weights straight from the checkpoint.
pub(super) struct InExecutor<'a> {
    pub(super) floats: Floats,
    pub(super) checkpoint: &'a dyn Checkpoint,
    pub(super) weights: &'a WeightMap,
}

impl InExecutor<'_> {
    fn input(
        &self,
        input: &Input,
        ty: &TensorType,
        arguments: &BTreeMap<String, Tensor>,
    ) -> Result<Array, PipelineError> {
        if let Some(given) = arguments.get(&input.name) {
            return self.argument(given, ty);
        }
        let dtype = match self.floats {
            Floats::Double if ty.dtype.is_float() => DType::F64,
            _ => ty.dtype,
        };
        let Some((_, _, expr)) = self.weights.resolve(&input.name) else {
            return Err(PipelineError::Unsupported(format!(
                "nothing is given for the input {:?}",
                input.name
            )));
        };
        let ty = TensorType::new(dtype, ty.shape.clone());
        let mut bytes = vec![0; ty.host_bytes()];
        expr.evaluate(self.checkpoint, dtype, &mut bytes).map_err(|source| {
            PipelineError::Weights(porter_weights::Error::Parameter { parameter: input.name.clone(), source })
        })?;
        Ok(Array::new(ty, bytes)?)
    }

    fn argument(&self, given: &Tensor, ty: &TensorType) -> Result<Array, PipelineError> {
        if given.dtype() == ty.dtype || self.floats == Floats::Double {
            return Ok(Array::new(given.ty().clone(), given.bytes().to_vec())?);
        }
        Ok(Array::new(ty.clone(), on_host(given, ty)?.bytes().to_vec())?)
    }
}

impl Runner<PipelineError> for InExecutor<'_> {
    fn run(
        &mut self,
        part: &Program,
        arguments: &BTreeMap<String, Tensor>,
    ) -> Result<BTreeMap<String, Tensor>, PipelineError> {
        let results = Executor::new(self.floats).run(part, |input, ty| self.input(input, ty, arguments))?;
        results
            .into_iter()
            .map(|(name, array)| Ok((name, owned(&array.ty().clone(), array.into_bytes())?)))
            .collect()
    }
}
