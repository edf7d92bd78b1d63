//! Hugging Face's layout: its names, in safetensors.

use porter_ir::{DType, Kind};
use porter_weights::{
    Checkpoint, Encoding, Expr, Format as Stored, Parameter,
    write::{OutputTensor, safetensors},
};

use super::{Planned, Request, Unconverted, beside};
use crate::{PipelineError, model};

pub(super) fn plan(source: &Unconverted, request: &Request) -> Result<Planned, PipelineError> {
    let checkpoint = &*source.checkpoint;
    let tensors = match checkpoint.format() {
        Stored::Gguf { .. } => renamed(source, request.dtype)?,
        _ => as_they_are(checkpoint, request.dtype),
    };
    let options = safetensors::SafetensorsOptions {
        stem: request.stem.clone(),
        max_shard_bytes: request.max_shard_bytes,
        ..Default::default()
    };
    let mut layout = safetensors::plan(tensors, &options)?;
    if request.beside {
        layout.closing.extend(beside::files(source, request.dtype)?);
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

/// The parameters of the model that a GGUF file describes, under Hugging Face's names.
fn renamed(source: &Unconverted, dtype: Option<DType>) -> Result<Vec<OutputTensor>, PipelineError> {
    let checkpoint = &*source.checkpoint;
    let ignore: Vec<&str> = source.ignore.iter().map(String::as_str).collect();
    let model = model(&source.files, checkpoint, &ignore)
        .unwrap_or_else(|| Err(porter_zoo::ConfigError::NoArchitecture))?;
    let map = model.weight_map(checkpoint)?;
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
