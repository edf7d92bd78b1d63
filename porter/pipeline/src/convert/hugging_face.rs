//! Hugging Face's layout: its names, in safetensors.

use std::collections::BTreeSet;

use porter_ir::{DType, Kind};
use porter_weights::{
    Checkpoint, Encoding, Expr, ExprError, Format as Stored, Parameter, QuantisedConfig, QuantisedTensors,
    write::{OutputTensor, safetensors},
};

use super::{Planned, Quantise, Request, Unconverted, beside::Change, int8, rename};
use crate::{PipelineError, artefact, weight_map};

pub(super) fn plan(source: &Unconverted, request: &Request) -> Result<Planned, PipelineError> {
    let checkpoint = &*source.checkpoint;
    let numbers = request.dtype.is_some() || request.quantise.is_some();
    let ported = artefact::back(&source.files.root, request.dtype)?;
    let mut tensors = match checkpoint.format() {
        _ if ported.is_some() => ported.unwrap_or_default(),
        Stored::Gguf { .. } | Stored::Orbax => renamed(source, request.dtype)?,
        _ if numbers => dequantised(source, request.dtype)?,
        _ => as_they_are(checkpoint, request.dtype),
    };
    let mut change = Change { dtype: request.dtype, numbers, quantised: None };
    if let Some(Quantise::Int8) = request.quantise {
        let int8 = int8::quantise(tensors, checkpoint);
        change.quantised = Some(int8.config());
        tensors = int8.tensors;
    }
    rename::apply(&request.rename, &mut tensors)?;
    let options = safetensors::SafetensorsOptions {
        stem: request.stem.clone(),
        max_shard_bytes: request.max_shard_bytes,
        ..Default::default()
    };
    let mut layout = safetensors::plan(tensors, &options)?;
    if request.beside {
        layout.closing.extend(source.beside(change)?);
    }
    let ties = checkpoint.ties();
    let notes = ties.iter().map(|names| format!("{} are one tensor; each is written", names.join(", ")));
    Ok(Planned { layout, notes: checkpoint.notes().iter().cloned().chain(notes).collect() })
}

/// Every tensor under its own name.
fn as_they_are(checkpoint: &dyn Checkpoint, dtype: Option<DType>) -> Vec<OutputTensor> {
    let tensors = checkpoint.tensors().iter().map(|(name, info)| OutputTensor {
        name: name.clone(),
        expr: Expr::source(name),
        shape: info.shape.clone(),
        encoding: encoding(&info.encoding, dtype),
    });
    tensors.collect()
}

/// Every tensor under its own name, and those that are stored in pieces as the numbers that they are.
fn dequantised(source: &Unconverted, dtype: Option<DType>) -> Result<Vec<OutputTensor>, PipelineError> {
    let checkpoint = &*source.checkpoint;
    let config = match &source.files.config {
        None => None,
        Some(config) => QuantisedConfig::from_config(&config.value)
            .map_err(|problems| porter_weights::Error::Unsupported { path: config.path.clone(), problems })?,
    };
    let Some(config) = config else { return Ok(as_they_are(checkpoint, dtype)) };
    let quantised = QuantisedTensors::find(&config, checkpoint)?;
    let pieces: BTreeSet<&str> = quantised.tensors().values().flat_map(Expr::sources).collect();
    let mut tensors = Vec::new();
    for (name, expr) in quantised.tensors() {
        let ty = expr.infer(checkpoint).map_err(|source| unfit(name, source))?;
        let encoding = encoding(&Encoding::Plain(ty.dtype), dtype);
        tensors.push(OutputTensor { name: name.clone(), expr: expr.clone(), shape: ty.shape, encoding });
    }
    let others = as_they_are(checkpoint, dtype).into_iter();
    tensors.extend(
        others.filter(|tensor| !pieces.contains(tensor.name.as_str()) && !quantised.leaves_out(&tensor.name)),
    );
    Ok(tensors)
}

fn unfit(parameter: &str, source: ExprError) -> PipelineError {
    porter_weights::Error::Parameter { parameter: parameter.to_owned(), source }.into()
}

/// The parameters of the model under Hugging Face's names, from a checkpoint that has others.
fn renamed(source: &Unconverted, dtype: Option<DType>) -> Result<Vec<OutputTensor>, PipelineError> {
    let checkpoint = &*source.checkpoint;
    let map = weight_map(&source.model()?, checkpoint)?;
    let report = map.check(checkpoint);
    if !report.fits() {
        let path = checkpoint.path().to_owned();
        return Err(porter_weights::Error::Map { path, report: Box::new(report) }.into());
    }
    let tensors = map.parameters().iter().filter_map(|(name, parameter)| match parameter {
        Parameter::Computed { shape, expr } => {
            let stored = expr.sources().into_iter().next().and_then(|name| checkpoint.tensors().get(name));
            let stored = stored.map_or(Encoding::Plain(DType::BF16), |info| info.encoding.clone());
            Some(OutputTensor {
                name: name.clone(),
                expr: expr.clone(),
                shape: shape.clone(),
                encoding: encoding(&stored, dtype),
            })
        }
        Parameter::Tied { .. } => None,
    });
    Ok(tensors.collect())
}

/// What a tensor is stored as: floats as `dtype`, blocks as bf16 where nothing is said.
fn encoding(stored: &Encoding, dtype: Option<DType>) -> Encoding {
    match (stored, dtype) {
        (Encoding::Plain(found), Some(dtype)) if found.kind() == Kind::Float => Encoding::Plain(dtype),
        (Encoding::Block(_), dtype) => Encoding::Plain(dtype.unwrap_or(DType::BF16)),
        (stored, _) => stored.clone(),
    }
}
