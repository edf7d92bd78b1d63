//! What can go wrong between a model's name and its output.

use porter_import::ImportError;
use porter_ir::OpError;
use porter_runtime::Error as RuntimeError;
use porter_text::TextError;
use porter_weights::Error as WeightsError;
use porter_zoo::{ConfigError, ProgramError};

/// An error of one of the crates, or of how they were asked to work together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PipelineError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Op(#[from] OpError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Text(#[from] TextError),
    /// The command asks for something that does not fit the model.
    #[error("{0}")]
    Usage(String),
    /// The model lacks something that the command needs.
    #[error("{0}")]
    Unsupported(String),
}
