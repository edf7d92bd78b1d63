//! How the process ends.

use std::{fmt::Display, io, path::Path, process::ExitCode};

use porter_import::{ErrorKind as ImportKind, ImportError};
use porter_numerics::{BudgetFileError, BundleError, MeasureError};
use porter_onnx::{FileError, ImportError as GraphError, Problem, ProblemKind as GraphProblem};
use porter_runtime::Error as RuntimeError;
use porter_text::{ErrorKind as TextKind, TextError};
use porter_weights::{Error as WeightsError, ErrorKind as WeightsKind, stream::StreamError};
use porter_zoo::{ConfigError, ProblemKind, ProgramError};

use porter_pipeline::PipelineError;

/// The exit codes of Porter. A panic, which is always a bug, ends with Rust's own 101.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The answer is no.
    No = 1,
    /// Wrong usage.
    Usage = 2,
    /// The model holds something that Porter cannot port.
    Unsupported = 3,
    /// The input is corrupt or hostile.
    Corrupt = 4,
    /// The environment: no plugin, disk, network or permission.
    Environment = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a verb could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What was being done, to what, what was found and what was expected. Several lines where
    /// several things are wrong. Empty where nobody is left to read it.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// A file that cannot be written.
    pub(crate) fn write(path: &Path, error: &io::Error) -> Self {
        Self::new(Exit::Environment, format!("cannot write {}: {error}", path.display()))
    }

    /// A standard stream that cannot be written. A reader that went away, like `head`, wants no message.
    pub(crate) fn stream(error: &io::Error) -> Self {
        let message = match error.kind() {
            io::ErrorKind::BrokenPipe => String::new(),
            _ => format!("cannot write to standard output: {error}"),
        };
        Self { exit: Exit::Environment, message }
    }
}

impl From<PipelineError> for Failure {
    fn from(error: PipelineError) -> Self {
        Self::new(pipeline(&error), error)
    }
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        Self::new(stream(&error), error)
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        Self::new(runtime(&error), error)
    }
}

fn pipeline(error: &PipelineError) -> Exit {
    match error {
        PipelineError::Import(error) => import(error),
        PipelineError::Weights(error) => weights(error),
        PipelineError::Config(error) => config(error),
        PipelineError::Stream(error) => stream(error),
        PipelineError::Program(error) => program(error),
        PipelineError::Runtime(error) => runtime(error),
        PipelineError::Text(error) => text(error),
        PipelineError::Bundle(error) | PipelineError::Measure(MeasureError::Bundle(error)) => bundle(error),
        PipelineError::Measure(MeasureError::Compare(_)) | PipelineError::Shard(_) => Exit::No,
        PipelineError::Part { source, .. } => pipeline(source),
        PipelineError::Budget(BudgetFileError::Read { .. })
        | PipelineError::File { .. }
        | PipelineError::OnnxFile(FileError::Io { .. }) => Exit::Environment,
        PipelineError::Budget(BudgetFileError::Problems { .. })
        | PipelineError::Rules(_)
        | PipelineError::Usage(_) => Exit::Usage,
        PipelineError::Onnx { error, .. } => onnx(error),
        PipelineError::OnnxFile(_) | PipelineError::Recorded { .. } | PipelineError::Artefact { .. } => {
            Exit::Corrupt
        }
        PipelineError::Write(_)
        | PipelineError::Gguf(_)
        | PipelineError::MaxText(_)
        | PipelineError::Hlo(_)
        | PipelineError::Op(_)
        | PipelineError::Execute(_)
        | PipelineError::Unsupported(_) => Exit::Unsupported,
    }
}

/// A graph that breaks rules only is corrupt; one that leaves sizes or values open only is named wrongly.
fn onnx(error: &GraphError) -> Exit {
    let all = |kind| error.problems.iter().all(|problem| problem.kind == kind);
    let open = |problem: &Problem| problem.kind == GraphProblem::Dynamic && problem.what.contains("give ");
    if error.problems.iter().all(open) {
        Exit::Usage
    } else if all(GraphProblem::Invalid) {
        Exit::Corrupt
    } else {
        Exit::Unsupported
    }
}

fn import(error: &ImportError) -> Exit {
    match error.kind() {
        ImportKind::Usage => Exit::Usage,
        ImportKind::Unsupported => Exit::Unsupported,
        ImportKind::Corrupt => Exit::Corrupt,
        ImportKind::Environment => Exit::Environment,
    }
}

pub(crate) fn weights(error: &WeightsError) -> Exit {
    match error.kind() {
        WeightsKind::Unavailable => Exit::Environment,
        WeightsKind::Corrupt => Exit::Corrupt,
        WeightsKind::Unsupported | WeightsKind::Mismatch => Exit::Unsupported,
    }
}

fn stream(error: &StreamError) -> Exit {
    match error {
        StreamError::Differs { .. } | StreamError::NotWhole { .. } => Exit::No,
        StreamError::Memory { .. } | StreamError::Share { .. } => Exit::Usage,
        _ => match error.kind() {
            WeightsKind::Unavailable => Exit::Environment,
            WeightsKind::Corrupt => Exit::Corrupt,
            WeightsKind::Unsupported | WeightsKind::Mismatch => Exit::Unsupported,
        },
    }
}

fn config(error: &ConfigError) -> Exit {
    match error {
        ConfigError::NotAnObject { .. } => Exit::Corrupt,
        ConfigError::Checkpoint(error) => weights(error),
        ConfigError::NoArchitecture | ConfigError::UnknownArchitecture { .. } => Exit::Unsupported,
        ConfigError::Refused { problems, .. } => {
            let malformed = |kind| matches!(kind, ProblemKind::Missing | ProblemKind::WrongType);
            if problems.iter().all(|problem| malformed(problem.kind)) {
                Exit::Corrupt
            } else {
                Exit::Unsupported
            }
        }
    }
}

fn program(error: &ProgramError) -> Exit {
    match error {
        ProgramError::NoPhase { .. } | ProgramError::Sizes { .. } | ProgramError::Precision { .. } => {
            Exit::Usage
        }
        ProgramError::Op(_) => Exit::Unsupported,
        ProgramError::Checkpoint(error) => weights(error),
    }
}

fn text(error: &TextError) -> Exit {
    match error.kind() {
        TextKind::Usage => Exit::Usage,
        TextKind::Unsupported => Exit::Unsupported,
        TextKind::Corrupt => Exit::Corrupt,
        TextKind::Environment => Exit::Environment,
    }
}

pub(crate) fn runtime(error: &RuntimeError) -> Exit {
    if error.is_environment() { Exit::Environment } else { Exit::Unsupported }
}

fn bundle(error: &BundleError) -> Exit {
    match error {
        BundleError::File { source, .. } => match source.kind() {
            WeightsKind::Unavailable => Exit::Environment,
            _ => Exit::Corrupt,
        },
        BundleError::Problems { .. } => Exit::Corrupt,
    }
}
