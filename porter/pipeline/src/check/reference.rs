//! A reference where nobody recorded one: the model as the zoo writes it, in the reference executor.

use std::{collections::BTreeMap, fs};

use porter_executor::Floats;
use porter_ir::{DType, Shape, TensorType};
use porter_numerics::{
    Bundle,
    bisect::{Runner, Tensor},
};
use porter_zoo::{Phase, Precision, Taps};
use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;

use super::{
    Trust,
    cases::{Sample, samples},
    parts::{InExecutor, arguments, owned, wide_integers},
};
use crate::{Observer, Opened, PipelineError, Sequences};

/// Which inputs a computed reference has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// A short prompt and a padded batch.
    Standard,
    /// Those, and what ports stumble over: long and far positions, the end of a sliding window, padding
    /// at either side, permuted rows, repeated and special tokens, the cached path at every turn.
    Hard,
}

/// A bundle that Porter computed: the model's f32 program as the zoo writes it, run by the reference
/// executor in f32, with its twin in f64. It is independent of XLA and of every rewrite, not of how
/// Porter understands the model.
pub struct Computed {
    bundle: Bundle,
    _folder: TempDir,
}

/// What numbers are compared with.
pub enum Reference {
    /// What somebody recorded.
    Recorded(Bundle),
    /// What Porter computed.
    Computed(Computed),
}

impl Reference {
    /// Its inputs and outputs.
    pub fn bundle(&self) -> &Bundle {
        match self {
            Reference::Recorded(bundle) => bundle,
            Reference::Computed(computed) => computed.bundle(),
        }
    }

    /// How far a search for the module at fault may believe it.
    pub fn trust(&self) -> Trust {
        match self {
            Reference::Recorded(_) => Trust::Recorded,
            Reference::Computed(_) => Trust::Inputs,
        }
    }
}

/// The most elements of logits that are kept of a case: the last positions.
const MOST_LOGITS: usize = 4 << 20;

impl Computed {
    /// Runs the executor on generated inputs.
    pub fn new(opened: &Opened, inputs: Inputs, observer: &dyn Observer) -> Result<Self, PipelineError> {
        let samples = samples(opened.model.task(), &opened.model.dimensions(), inputs);
        let mut files = Files::default();
        for (i, sample) in samples.iter().enumerate() {
            files.add(opened, sample)?;
            observer.step("computing the reference", i + 1, samples.len());
        }
        files.write()
    }

    /// What was computed.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }
}

/// The tensors of a bundle on its way.
#[derive(Default)]
pub(super) struct Files {
    inputs: BTreeMap<String, Tensor>,
    reference: BTreeMap<String, Tensor>,
}

impl Files {
    pub(super) fn input(&mut self, case: &str, name: &str, tensor: Tensor) {
        self.inputs.insert(named(case, name), tensor);
    }

    pub(super) fn output(&mut self, case: &str, name: &str, tensor: Tensor) {
        self.reference.insert(named(case, name), tensor);
    }

    /// The bundle, in a folder of its own.
    pub(super) fn write(self) -> Result<Computed, PipelineError> {
        let folder = tempfile::tempdir().map_err(|source| PipelineError::File {
            doing: "make a folder in",
            path: std::env::temp_dir(),
            source,
        })?;
        write(&folder, "inputs.safetensors", &self.inputs)?;
        write(&folder, "reference.safetensors", &self.reference)?;
        Ok(Computed { bundle: Bundle::open(folder.path())?, _folder: folder })
    }

    /// Runs a sample, and adds what went in and what came out.
    fn add(&mut self, opened: &Opened, sample: &Sample) -> Result<(), PipelineError> {
        for (name, values) in &sample.inputs {
            self.input(sample.name, name, wide_integers(values, &[sample.rows, sample.tokens])?);
        }
        if !sample.forced.is_empty() {
            self.output(sample.name, "forced", wide_integers(&sample.forced, &[1, sample.forced.len()])?);
        }
        for (floats, suffix) in [(Floats::AsWritten, ""), (Floats::Double, "_f64")] {
            for (name, tensor) in forward(opened, sample, floats)? {
                let (own, behind) = split(&tensor, sample.tokens, sample.forced.len())?;
                let is_logits = name == "logits";
                if let Some(behind) = behind.filter(|_| is_logits && suffix.is_empty()) {
                    self.output(sample.name, "forced_logits", behind);
                }
                let own = if is_logits { last(&own)? } else { own };
                self.output(sample.name, &format!("{name}{suffix}"), own);
            }
        }
        Ok(())
    }
}

/// A tensor's name in a case.
fn named(case: &str, name: &str) -> String {
    if case.is_empty() { name.to_owned() } else { format!("{case}.{name}") }
}

/// The results of the model's forward program on a sample and, behind it, what the cached path is
/// given, in the executor.
fn forward(
    opened: &Opened,
    sample: &Sample,
    floats: Floats,
) -> Result<BTreeMap<String, Tensor>, PipelineError> {
    let tokens = sample.tokens + sample.forced.len();
    let mut sequences = Sequences::default();
    for (name, values) in &sample.inputs {
        let more = if *name == "input_ids" { &sample.forced[..] } else { &[] };
        sequences.insert(name, Shape::new([sample.rows, tokens]), [values, more].concat());
    }
    let phase = Phase::Forward { batch: sample.rows, tokens, taps: Taps::HiddenStates };
    let program = opened.model.program(&phase, &Precision::uniform(DType::F32))?;
    let arguments = arguments(&sequences, opened)?;
    let mut executor = InExecutor { floats, checkpoint: &*opened.checkpoint, weights: &opened.weight_map };
    executor.run(&program, &arguments)
}

/// The first `tokens` positions of `[rows, positions, ...]`, and of one row the logits behind each of
/// the last prompt token and the `forced` tokens but the last.
fn split(tensor: &Tensor, tokens: usize, forced: usize) -> Result<(Tensor, Option<Tensor>), PipelineError> {
    let [1, positions, width] = **tensor.shape() else { return Ok((tensor.clone(), None)) };
    if forced == 0 || positions != tokens + forced {
        return Ok((tensor.clone(), None));
    }
    let row = tensor.bytes().len() / positions;
    let own = tensor.bytes()[..tokens * row].to_vec();
    let behind = tensor.bytes()[(tokens - 1) * row..(positions - 1) * row].to_vec();
    let view = |shape: &[usize], bytes| owned(&TensorType::new(tensor.dtype(), shape.to_vec()), bytes);
    Ok((view(&[1, tokens, width], own)?, Some(view(&[forced, width], behind)?)))
}

/// The last positions of logits, as many as are kept.
fn last(logits: &Tensor) -> Result<Tensor, PipelineError> {
    let [rows, _, vocabulary] = **logits.shape() else { return Ok(logits.clone()) };
    let kept = (MOST_LOGITS / (rows * vocabulary).max(1)).max(1);
    let view = logits.last_positions(kept);
    owned(view.ty(), view.bytes().to_vec())
}

fn write(folder: &TempDir, name: &str, tensors: &BTreeMap<String, Tensor>) -> Result<(), PipelineError> {
    let path = folder.path().join(name);
    let failed = |source| PipelineError::File { doing: "write", path: path.clone(), source };
    let views = tensors
        .iter()
        .map(|(name, tensor)| {
            let dtype = match tensor.dtype() {
                DType::F64 => Dtype::F64,
                DType::I64 => Dtype::I64,
                _ => Dtype::F32,
            };
            let view = TensorView::new(dtype, tensor.shape().to_vec(), tensor.bytes());
            view.map(|view| (name, view))
        })
        .collect::<Result<Vec<_>, _>>();
    let bytes = views
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|e| failed(std::io::Error::other(e)))?;
    fs::write(&path, bytes).map_err(failed)
}
