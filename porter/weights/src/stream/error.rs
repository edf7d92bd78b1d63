//! Why a conversion stopped.

use std::io;

use crate::{Error, ErrorKind, ExprError, write::WriteError};

/// Why a conversion stopped. Unless it says otherwise, what was finished stays, and the same command
/// goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The layout cannot be written.
    #[error(transparent)]
    Layout(#[from] WriteError),
    /// The source cannot be read.
    #[error(transparent)]
    Source(Error),
    /// A tensor cannot be computed.
    #[error("tensor {tensor:?}: {source}")]
    Tensor {
        /// The output tensor.
        tensor: String,
        /// Why not.
        source: ExprError,
    },
    /// The system refused something.
    #[error("cannot {doing} {path}: {source}{}", advice(source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Too little room.
    #[error(
        "{place} has {free} bytes free and {needed} more are needed; nothing was written, free them or choose another place"
    )]
    NoSpace {
        /// The output.
        place: String,
        /// Bytes still to write.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// Another process writes there.
    #[error("another conversion is writing to {place}; wait for it, or choose another place")]
    Busy {
        /// The output.
        place: String,
    },
    /// Something else is there.
    #[error(
        "{place} is not empty and does not belong to this conversion: it holds {}; nothing was changed, choose an \
         empty place", found.join(", ")
    )]
    NotEmpty {
        /// The output.
        place: String,
        /// The first few files that are there.
        found: Vec<String>,
    },
    /// A finished conversion of something else is there.
    #[error(
        "{place} holds a finished conversion ({what}); nothing was changed, remove it or choose another place"
    )]
    Finished {
        /// The output.
        place: String,
        /// What it is.
        what: String,
    },
    /// The source is not what it was when the conversion began.
    #[error(
        "the source changed while it was read: it was {before} and is {after}; the file being written was given up, \
         and the same command begins again"
    )]
    SourceChanged {
        /// Its identity at the start.
        before: String,
        /// Its identity now.
        after: String,
    },
    /// The budget is too small.
    #[error("{given} bytes of memory are too little: {needed} are needed")]
    Memory {
        /// The budget.
        given: u64,
        /// The least that works.
        needed: u64,
    },
    /// A journal that is not one.
    #[error("{path} is not a journal of a conversion ({reason}); remove it to begin again")]
    Journal {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// What was written is not what it should be.
    #[error("{path} is not what the source gives: {what}")]
    Differs {
        /// The file.
        path: String,
        /// Where, and how.
        what: String,
    },
    /// Shares of a conversion are missing, or do not belong together.
    #[error("{place} is not whole:\n  {}", problems.join("\n  "))]
    NotWhole {
        /// The output.
        place: String,
        /// What is missing or does not fit.
        problems: Vec<String>,
    },
    /// A share that cannot be.
    #[error("share {part} of {of} is not one: {why}")]
    Share {
        /// Which share, from 1 on.
        part: usize,
        /// Of how many.
        of: usize,
        /// What is wrong.
        why: String,
    },
}

impl StreamError {
    pub(super) fn io(doing: &'static str, path: &str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| StreamError::Io { doing, path, source }
    }

    /// What the error means for the person who asked for the conversion.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StreamError::Layout(_) => ErrorKind::Unsupported,
            StreamError::Source(error) => error.kind(),
            StreamError::Tensor { source, .. } => source.kind(),
            StreamError::Differs { .. } | StreamError::NotWhole { .. } | StreamError::Journal { .. } => {
                ErrorKind::Corrupt
            }
            _ => ErrorKind::Unavailable,
        }
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some room and run the same command again: it goes on from here"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; choose a place that can be written"
        }
        _ => "",
    }
}
