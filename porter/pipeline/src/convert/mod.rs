//! From one checkpoint to another: which tensors, from which expressions, in which format.
//!
//! [`plan`] reads headers only and gives a [`Planned`] conversion, which
//! [`porter_weights::stream`] writes.

mod beside;
mod hugging_face;
mod ties;

use porter_import::{ModelFiles, Progress, Source, resolve};
use porter_ir::DType;
use porter_weights::{Checkpoint, OpenOptions, write::Layout};

use crate::PipelineError;

/// What a checkpoint becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The format.
    pub to: Format,
    /// The type of all float tensors; `None` keeps each as it is, and dequantises to bf16.
    pub dtype: Option<DType>,
    /// A file holds at most these bytes of tensors, or one tensor. `None` is one file.
    pub max_shard_bytes: Option<u64>,
    /// The name of the weights' file without its extension.
    pub stem: String,
    /// Whether the files beside the weights go along: config.json, the tokenizer.
    pub beside: bool,
}

/// A format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Hugging Face's names in safetensors.
    Safetensors,
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
        let checkpoint = porter_weights::open_with(&files.weights, options)?;
        Ok(Self { files, checkpoint, ignore: ignore.to_vec() })
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
    ties::check(source)?;
    match request.to {
        Format::Safetensors => hugging_face::plan(source, request),
    }
}
