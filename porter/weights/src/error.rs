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
    /// The file could be opened, and a tensor's bytes cannot be read.
    #[error("cannot read tensor {name:?} of {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What the system said; `UnexpectedEof` if the file is shorter than it was.
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
    /// No tensor lies under the state dict asked for.
    #[error("{} holds no tensor under {prefix:?}; at its top lie {}", path.display(), Names(found))]
    NoPrefix {
        /// The file.
        path: PathBuf,
        /// The path asked for.
        prefix: String,
        /// What lies at the top, the first few.
        found: Vec<String>,
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
            Error::Open { .. } | Error::Read { .. } => ErrorKind::Unavailable,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::NoTensor { .. } | Error::NoPrefix { .. } | Error::Map { .. } => ErrorKind::Mismatch,
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
    /// A class or function that a pickle names, `module.name`.
    Global(String),
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

    pub(crate) fn global(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: Place::Global(name.into()), what: what.into() }
    }

    pub(crate) fn shard(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: Place::Shard(name.into()), what: what.into() }
    }
}

/// What is wrong with a file, by what it means.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    pub(crate) corrupt: Vec<Problem>,
    pub(crate) unsupported: Vec<Problem>,
}

impl Problems {
    /// True once there are more than anyone reads; a hostile file may have one a byte.
    pub(crate) fn are_enough(&self) -> bool {
        self.corrupt.len() + self.unsupported.len() >= 256
    }

    /// The error of all of them, if there is one. What is corrupt decides what the error means.
    pub(crate) fn finish(self, path: &Path) -> Result<(), Error> {
        let path = path.to_owned();
        match (self.corrupt.is_empty(), self.unsupported.is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(Error::Unsupported { path, problems: self.unsupported }),
            (false, _) => Err(Error::Corrupt {
                path,
                problems: self.corrupt.into_iter().chain(self.unsupported).collect(),
            }),
        }
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
            Place::Global(name) => write!(f, "global {name:?}: ")?,
        }
        f.write_str(&self.what)
    }
}

/// Quoted names with commas between them.
struct Names<'a>(&'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no tensors");
        }
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(i, name)| write!(f, "{}{name:?}", if i == 0 { "" } else { ", " }))
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
