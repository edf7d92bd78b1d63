//! From an opened model to an artefact, known to the byte before anything is written.

use std::collections::{BTreeMap, HashMap};

use porter_ir::{DType, Entry, InputRole, TensorType};
use porter_numerics::Findings;
use porter_plan::Target;
use porter_rewrite::{Applied, Effect};
use porter_weights::{
    Checkpoint, Encoding, Parameter, WeightMap,
    write::{Layout, OutputFile, OutputTensor, safetensors},
};
use porter_zoo::Phase;
use sha2::{Digest, Sha256};

use super::{
    Ported,
    manifest::{
        CheckRecord, MANIFEST, Manifest, OutputRecord, RewriteRecord, SCHEMA, SourceRecord, Undo, UndoTensor,
    },
    program::{PhaseRecord, ProgramEntry},
};
use crate::{
    Meshing, Opened, PipelineError, Quantize, Variant,
    ahead::Job,
    convert::beside::{Beside, Change},
    lower,
};

/// The name of the weights' file without its extension: not Hugging Face's, since the tensors are not.
const WEIGHTS: &str = "weights";

/// A model for a target, before it is written.
pub struct Port<'a> {
    opened: &'a Opened,
    variant: Variant<'a>,
    target: Target,
    phases: Vec<Phase>,
    lowered: lower::Ported,
    /// In the order of the phases.
    jobs: Vec<Job>,
}

impl<'a> Port<'a> {
    /// The programs of `phases` in the form that `target` wants, laid out over its devices.
    pub fn new(
        opened: &'a Opened,
        phases: Vec<Phase>,
        variant: Variant<'a>,
        target: &Target,
        meshing: &Meshing,
    ) -> Result<Self, PipelineError> {
        variant.quantize.map_or(Ok(()), |form| form.serves(target.chip()))?;
        let report = opened.weight_map.check(&*opened.checkpoint);
        if !report.fits() {
            let path = opened.checkpoint.path().to_owned();
            return Err(porter_weights::Error::Map { path, report: Box::new(report) }.into());
        }
        let devices = target.devices();
        let lowered = lower::port(&opened.model, &opened.weight_map, &phases, &variant, meshing, devices)?;
        let jobs = lowered.port.programs.iter().zip(lowered.predicted.clone());
        let jobs = jobs.map(|(program, predicted)| Job::new(program, predicted)).collect();
        Ok(Self { opened, variant, target: target.clone(), phases, lowered, jobs })
    }

    /// What was done to the programs.
    pub fn applied(&self) -> &[Applied] {
        &self.lowered.applied
    }

    /// The programs, for the TPU compiler.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The port as it will be read, over the source's weights.
    pub fn ported(&self) -> Ported<'_> {
        Ported {
            model: &self.opened.model,
            dtype: self.variant.dtype,
            quantize: self.variant.quantize,
            mesh: self.lowered.mesh.as_ref(),
            programs: self.phases.iter().copied().zip(self.jobs.iter().map(|job| &job.program)).collect(),
            weights: &self.lowered.port.weights,
            checkpoint: &*self.opened.checkpoint,
        }
    }

    /// Every file of the artefact.
    pub fn layout(
        &self,
        max_shard_bytes: Option<u64>,
        check: Option<CheckRecord>,
    ) -> Result<Layout, PipelineError> {
        let weights = &self.lowered.port.weights;
        let entries: Vec<&Entry> = self.jobs.iter().map(|job| &job.program.entry).collect();
        let mut layout = weights_layout(weights, &entries, max_shard_bytes)?;
        layout.closing.extend(self.beside()?);
        let phases = self.phases.iter().map(|&phase| phase.into());
        let programs = write_programs(phases.zip(&self.jobs), &mut layout);
        let undo = undo(weights, &*self.opened.checkpoint, &entries)?;
        let manifest = Manifest {
            schema: SCHEMA.to_owned(),
            porter: env!("CARGO_PKG_VERSION").to_owned(),
            source: self.source()?,
            target: self.target.to_string(),
            mesh: self.lowered.mesh.as_ref().map(|mesh| mesh.axes.clone()),
            dtype: Some(self.variant.dtype.name().to_owned()),
            quantize: self.variant.quantize.map(Quantize::name).map(str::to_owned),
            keep: self.variant.keep.to_vec(),
            rewrites: self.lowered.applied.iter().map(RewriteRecord::from).collect(),
            programs,
            graph: None,
            undo,
            check,
        };
        // The last of all files: what has a manifest is whole.
        layout.closing.push(OutputFile::bytes(MANIFEST, manifest.bytes()?));
        Ok(layout)
    }

    /// The configuration and the tokenizer. What was quantised is numbers in the programs.
    fn beside(&self) -> Result<Vec<OutputFile>, PipelineError> {
        let Opened { files, checkpoint, model, .. } = self.opened;
        let config = |dtype| Ok(model.hf_config(dtype).unwrap_or_default());
        let beside = Beside { files, checkpoint: &**checkpoint, config: &config };
        beside.files(Change { dtype: None, numbers: true, quantised: None })
    }

    fn source(&self) -> Result<SourceRecord, PipelineError> {
        let Opened { files, checkpoint, model, .. } = self.opened;
        let config =
            files.config.as_ref().map(|config| hex::encode(Sha256::digest(config.value.to_string())));
        Ok(SourceRecord {
            name: files.name.clone(),
            architecture: model.class().to_owned(),
            graph_sha256: None,
            config_sha256: config,
            tensors_sha256: tensors_sha256(&**checkpoint),
            weights: checkpoint.identity()?,
        })
    }
}

/// In which type each weight is stored: that in which the programs take it, on the host.
fn dtypes<'a>(entries: &[&'a Entry]) -> HashMap<&'a str, DType> {
    let inputs = entries.iter().flat_map(|entry| &entry.inputs);
    let weights = inputs.filter(|input| input.role == InputRole::Weight);
    weights.map(|input| (input.name.as_str(), input.ty.dtype.on_host())).collect()
}

/// The files of the weights, as programs take them.
pub(super) fn weights_layout(
    weights: &WeightMap,
    entries: &[&Entry],
    max_shard_bytes: Option<u64>,
) -> Result<Layout, PipelineError> {
    let dtypes = dtypes(entries);
    let tensors = weights.parameters().iter().filter_map(|(name, parameter)| match parameter {
        Parameter::Computed { shape, expr } => Some(OutputTensor {
            name: name.clone(),
            expr: expr.clone(),
            shape: shape.clone(),
            encoding: Encoding::Plain(*dtypes.get(name.as_str())?),
        }),
        Parameter::Tied { .. } => None,
    });
    let options = safetensors::SafetensorsOptions {
        stem: WEIGHTS.to_owned(),
        max_shard_bytes,
        metadata: BTreeMap::from([("format".to_owned(), SCHEMA.to_owned())]),
    };
    Ok(safetensors::plan(tensors.collect(), &options)?)
}

/// Adds the programs' files to `layout`, and gives what the manifest says of them.
pub(super) fn write_programs<'a>(
    programs: impl Iterator<Item = (PhaseRecord, &'a Job)>,
    layout: &mut Layout,
) -> Vec<ProgramEntry> {
    let entries = programs.map(|(phase, job)| {
        let text = job.program.text.clone().into_bytes();
        let sha256 = hex::encode(Sha256::digest(&text));
        layout.closing.push(OutputFile::bytes(program_path(&job.program.entry.name), text));
        ProgramEntry::new(phase, job, sha256)
    });
    entries.collect()
}

/// The SHA-256 of a checkpoint's names, types and shapes, in name order.
pub(super) fn tensors_sha256(checkpoint: &dyn Checkpoint) -> String {
    let mut tensors = Sha256::new();
    for (name, info) in checkpoint.tensors() {
        tensors.update(format!("{name} {} {}\n", info.encoding, info.shape));
    }
    hex::encode(tensors.finalize())
}

/// The way back to the tensors of a checkpoint.
pub(super) fn undo(
    weights: &WeightMap,
    checkpoint: &dyn Checkpoint,
    entries: &[&Entry],
) -> Result<Undo, PipelineError> {
    let dtypes = dtypes(entries);
    let dtype = |name: &str, ty: &TensorType| dtypes.get(name).copied().unwrap_or(ty.dtype);
    let unfit =
        |source| porter_weights::Error::Parameter { parameter: "the port's weights".to_owned(), source };
    let inverse = weights.inverse(checkpoint, dtype).map_err(unfit)?;
    let mut undo = Undo { tensors: BTreeMap::new(), lost: inverse.lost };
    for (name, expr) in inverse.sources {
        let Some(info) = checkpoint.tensors().get(&name) else { continue };
        let Encoding::Plain(dtype) = info.encoding else {
            undo.lost
                .insert(name, format!("it is stored as {}, which computing with it undoes", info.encoding));
            continue;
        };
        let shape = info.shape.to_vec();
        undo.tensors.insert(name, UndoTensor { dtype: dtype.name().to_owned(), shape, expr });
    }
    Ok(undo)
}

/// Where a program lies in an artefact.
pub(super) fn program_path(name: &str) -> String {
    format!("programs/{name}.mlir")
}

impl CheckRecord {
    /// What `findings` say.
    pub fn new(reference: &str, findings: &Findings, pass: bool) -> Self {
        let outputs = findings.comparisons.iter().map(|measured| OutputRecord {
            name: measured.comparison.name.clone(),
            max_abs: measured.comparison.max_abs,
            budget: measured.budget.max_abs,
        });
        Self { reference: reference.to_owned(), pass, accepted: !pass, outputs: outputs.collect() }
    }
}

impl From<&Applied> for RewriteRecord {
    fn from(applied: &Applied) -> Self {
        let effect = match applied.effect {
            Effect::Exact => "exact",
            Effect::Neutral => "neutral",
            Effect::Approximate => "approximate",
        };
        Self {
            rewrite: applied.rewrite.to_owned(),
            reason: applied.reason.clone(),
            effect: effect.to_owned(),
        }
    }
}
