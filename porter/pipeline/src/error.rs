//! What can go wrong between a model's name and its output.

use std::{io, path::PathBuf};

use porter_executor::ExecuteError;
use porter_import::ImportError;
use porter_ir::OpError;
use porter_numerics::{BudgetFileError, BundleError, MeasureError, bisect::BisectError};
use porter_plan::hlo::HloError;
use porter_rewrite::{RulesError, ShardError};
use porter_runtime::Error as RuntimeError;
use porter_text::TextError;
use porter_weights::{Error as WeightsError, stream::StreamError, write::WriteError};
use porter_zoo::{ConfigError, GgufError, MaxTextError, ProgramError};

/// An error of one of the crates, or of how they were asked to work together.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum PipelineError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Gguf(#[from] GgufError),
    #[error(transparent)]
    MaxText(#[from] MaxTextError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Op(#[from] OpError),
    #[error(transparent)]
    Shard(#[from] ShardError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A compiler gave something that is no program.
    #[error(transparent)]
    Hlo(#[from] HloError),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Budget(#[from] BudgetFileError),
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The reference executor cannot run a program.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A part of a model did not run in a search.
    #[error("running {part} of the {side}: {source}")]
    Part { part: String, side: &'static str, source: Box<PipelineError> },
    /// A file of the check's own cannot be written or read.
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    /// A ported model that does not hold together.
    #[error("{}: {problem}", path.display())]
    Artefact { path: PathBuf, problem: String },
    /// An ONNX graph is no program.
    #[error("{}: {error}", path.display())]
    Onnx { path: PathBuf, error: porter_onnx::ImportError },
    /// An ONNX file cannot be read.
    #[error(transparent)]
    OnnxFile(#[from] porter_onnx::FileError),
    /// A recorded tensor cannot be read.
    #[error("{}: {problem}", path.display())]
    Recorded { path: PathBuf, problem: String },
    /// The command asks for something that does not fit the model.
    #[error("{0}")]
    Usage(String),
    /// The model lacks something that the command needs.
    #[error("{0}")]
    Unsupported(String),
}

impl From<BisectError<PipelineError>> for PipelineError {
    fn from(error: BisectError<PipelineError>) -> Self {
        match error {
            BisectError::Run { part, side, source } => Self::Part { part, side, source: Box::new(source) },
            BisectError::Op(error) => Self::Op(error),
            BisectError::Compare { source, .. } => Self::Measure(source.into()),
            BisectError::Structure(problem) => Self::Unsupported(problem),
        }
    }
}
