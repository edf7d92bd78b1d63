//! Why a checkpoint cannot be read.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use crate::map::{ExprError, Report};

/// What an [`Error`] means for the person who gave the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file cannot be opened: not found, no permission, an IO error.
    Unavailable,
    /// The file breaks its format: cut short, damaged, or made to harm.
    Corrupt,
    /// The file is sound, but holds something that Porter does not read.
    Unsupported,
    /// The file is sound, but is not what the caller asked for: a tensor is absent, or its shape or
    /// dtype differs.
    Mismatch,
}

/// Why a checkpoint, or a parameter of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused to open the file.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file breaks its format.
    #[error("{} is corrupt{}", path.display(), List(problems))]
    Corrupt {
        /// The file or folder.
        path: PathBuf,
        /// Everything found wrong, in file order.
        problems: Vec<Problem>,
    },
    /// The file holds something that is not read.
    #[error("{} is not supported{}", path.display(), List(problems))]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// Everything not supported, in file order.
        problems: Vec<Problem>,
    },
    /// No tensor of that name.
    #[error("{} holds no tensor {name:?}", path.display())]
    NoTensor {
        /// The file or folder.
        path: PathBuf,
        /// The name asked for.
        name: String,
    },
    /// A parameter's expression does not fit the checkpoint.
    #[error("parameter {parameter}: {source}")]
    Parameter {
        /// The parameter.
        parameter: String,
        /// What does not fit.
        source: ExprError,
    },
    /// A whole weight map does not fit the checkpoint.
    #[error("the weight map does not fit {}:\n{report}", path.display())]
    Map {
        /// The file or folder.
        path: PathBuf,
        /// Everything that does not fit.
        report: Box<Report>,
    },
}

impl Error {
    /// What the error means for the person who gave the file.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Open { .. } => ErrorKind::Unavailable,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::NoTensor { .. } | Error::Map { .. } => ErrorKind::Mismatch,
            Error::Parameter { source, .. } => source.kind(),
        }
    }

    pub(crate) fn corrupt(path: &Path, problem: Problem) -> Self {
        Error::Corrupt { path: path.to_owned(), problems: vec![problem] }
    }

    pub(crate) fn unsupported(path: &Path, problem: Problem) -> Self {
        Error::Unsupported { path: path.to_owned(), problems: vec![problem] }
    }

    pub(crate) fn open(path: &Path, source: io::Error) -> Self {
        Error::Open { path: path.to_owned(), source }
    }
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file.
    pub place: Place,
    /// What was found, and what was expected.
    pub what: String,
}

/// Where in a file a [`Problem`] lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    File,
    /// The part before the tensor data.
    Header,
    /// A metadata or JSON field.
    Field(String),
    /// A tensor.
    Tensor(String),
    /// A shard of a sharded checkpoint.
    Shard(String),
}

impl Problem {
    pub(crate) fn file(what: impl Into<String>) -> Self {
        Self { place: Place::File, what: what.into() }
    }

    pub(crate) fn header(what: impl Into<String>) -> Self {
        Self { place: Place::Header, what: what.into() }
    }

    pub(crate) fn field(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: Place::Field(name.into()), what: what.into() }
    }

    pub(crate) fn tensor(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: Place::Tensor(name.into()), what: what.into() }
    }

    pub(crate) fn shard(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: Place::Shard(name.into()), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `{:?}` escapes control characters that a hostile name may carry to a terminal.
        match &self.place {
            Place::File => {}
            Place::Header => f.write_str("header: ")?,
            Place::Field(name) => write!(f, "field {name:?}: ")?,
            Place::Tensor(name) => write!(f, "tensor {name:?}: ")?,
            Place::Shard(name) => write!(f, "shard {name:?}: ")?,
        }
        f.write_str(&self.what)
    }
}

/// `: problem` for one, and a line each for several.
struct List<'a>(&'a [Problem]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, ": {only}");
        }
        write!(f, ": {} problems", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
