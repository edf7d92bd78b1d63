//! From one checkpoint to another: which tensors, from which expressions, in which format.
//!
//! [`plan`] reads headers only and gives a [`Planned`] conversion, which
//! [`porter_weights::stream`] writes.

pub(crate) mod beside;
mod gguf;
mod hugging_face;
mod int8;
mod maxtext;
mod place;
mod rename;
mod ties;

use std::collections::BTreeMap;

use porter_import::{ModelFiles, Progress, Source, resolve};
use porter_ir::DType;
use porter_weights::{
    Checkpoint, Encoding, GgmlType, OpenOptions, Rename,
    write::{Layout, OutputFile},
};
use porter_zoo::{ConfigError, Model};

pub use place::place;

use crate::{PipelineError, artefact, checkpoint, model};
use beside::{Beside, Change};

/// What a checkpoint becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The format.
    pub to: Format,
    /// The type of all float tensors, quantised ones too. `None` keeps each as it is; GGUF's blocks
    /// become bf16 where the format has none.
    pub dtype: Option<DType>,
    /// What the weights of linear layers become.
    pub quantise: Option<Quantise>,
    /// What tensors are called in the output, instead of what the format calls them.
    pub rename: Vec<Rename>,
    /// A file holds at most these bytes of tensors, or one tensor. `None` is one file.
    pub max_shard_bytes: Option<u64>,
    /// The name of the weights' file without its extension.
    pub stem: String,
    /// Whether the files beside the weights go along: config.json, the tokenizer.
    pub beside: bool,
    /// Whether a result is written whose readers compute other numbers than the model.
    pub accept: bool,
}

/// A format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Hugging Face's names in safetensors.
    Safetensors,
    /// GGUF, as llama.cpp's converter writes it.
    Gguf,
    /// MaxText's tree of arrays, as Orbax restores it.
    MaxText {
        /// Whether all layers of a parameter are one array.
        scan_layers: bool,
    },
}

/// A quantised form to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantise {
    /// 8-bit integers with a scale for each output channel, as compressed-tensors stores them in
    /// safetensors.
    Int8,
    /// Blocks of GGUF.
    Block(GgmlType),
}

/// A source whose headers were read.
pub struct Unconverted {
    /// Where it lies.
    pub files: ModelFiles,
    /// The checkpoint.
    pub checkpoint: Box<dyn Checkpoint>,
    /// Configuration keys that are taken to change nothing.
    pub ignore: Vec<String>,
}

impl Unconverted {
    /// Opens what a user names; it need not be a model that Porter knows.
    pub fn open(
        name: &str,
        ignore: &[String],
        options: &OpenOptions,
        progress: &dyn Progress,
    ) -> Result<Self, PipelineError> {
        let files = resolve(&Source::parse(name)?, progress)?;
        let checkpoint = checkpoint(&files, options)?;
        Ok(Self { files, checkpoint, ignore: ignore.to_vec() })
    }

    /// The model that it is.
    pub(crate) fn model(&self) -> Result<Model, PipelineError> {
        let ignore: Vec<&str> = self.ignore.iter().map(String::as_str).collect();
        let model = model(&self.files, &*self.checkpoint, &ignore);
        Ok(model.unwrap_or(Err(ConfigError::NoArchitecture))?)
    }

    /// The files beside its weights, as they are after `change`.
    fn beside(&self, change: Change) -> Result<Vec<OutputFile>, PipelineError> {
        let config = |dtype| Ok(self.model()?.hf_config(dtype).unwrap_or_default());
        Beside { files: &self.files, checkpoint: &*self.checkpoint, config: &config }.files(change)
    }
}

/// A conversion, known to the byte.
#[derive(Debug)]
pub struct Planned {
    /// Every file.
    pub layout: Layout,
    /// Remarks for the person who asked for it.
    pub notes: Vec<String>,
}

/// Plans the conversion of `source`.
pub fn plan(source: &Unconverted, request: &Request) -> Result<Planned, PipelineError> {
    match (request.to, request.quantise) {
        (Format::Safetensors, Some(Quantise::Block(block))) => Err(PipelineError::Usage(format!(
            "{block} is a block type of GGUF, which safetensors has not; int8 is written there"
        ))),
        (Format::MaxText { .. }, Some(_)) => Err(PipelineError::Usage(
            "MaxText quantises when it runs (quantization=int8); its checkpoints hold floats".to_owned(),
        )),
        (Format::Gguf, Some(Quantise::Int8)) => Err(PipelineError::Usage(
            "int8 is a form of safetensors; GGUF has q8_0, q5_0, q5_1, q4_0 and q4_1".to_owned(),
        )),
        _ => Ok(()),
    }?;
    if !request.rename.is_empty() && request.to != Format::Safetensors {
        return Err(PipelineError::Usage(
            "the names in GGUF and MaxText are the format's; --rename is for safetensors".to_owned(),
        ));
    }
    if request.to != Format::Safetensors && artefact::is_one(&source.files.root) {
        return Err(PipelineError::Usage(format!(
            "{} is a port: convert it to Hugging Face's safetensors first",
            source.files.name
        )));
    }
    ties::check(source)?;
    match request.to {
        Format::Safetensors => hugging_face::plan(source, request),
        Format::Gguf => gguf::plan(source, request),
        Format::MaxText { scan_layers } => maxtext::plan(source, request, scan_layers),
    }
}

/// The type of most float elements; bf16 where there are none but blocks.
fn most_common_float(checkpoint: &dyn Checkpoint) -> DType {
    let mut elements: BTreeMap<DType, usize> = BTreeMap::new();
    for info in checkpoint.tensors().values() {
        if let Encoding::Plain(dtype @ (DType::F32 | DType::F16 | DType::BF16)) = info.encoding {
            let count = elements.entry(dtype).or_default();
            *count = count.saturating_add(info.shape.elements());
        }
    }
    let blocks = checkpoint.tensors().values().any(|info| matches!(info.encoding, Encoding::Block(_)));
    let most = elements.into_iter().max_by_key(|(_, count)| *count).map(|(dtype, _)| dtype);
    most.filter(|_| !blocks).unwrap_or(DType::BF16)
}
