//! What can go wrong between Porter and a plugin.

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::{aot::OutOfMemory, plugins::KnownPlugin};

/// The status codes of the PJRT C API, which are those of `absl::StatusCode`, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the standard ones")]
pub enum Code {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    /// The code of this number; numbers that no version of the API defines are `Unknown`.
    pub(crate) fn from_raw(code: pjrt_sys::PJRT_Error_Code) -> Self {
        match code {
            1 => Self::Cancelled,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            10 => Self::Aborted,
            11 => Self::OutOfRange,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            15 => Self::DataLoss,
            16 => Self::Unauthenticated,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid argument",
            Self::DeadlineExceeded => "deadline exceeded",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::PermissionDenied => "permission denied",
            Self::ResourceExhausted => "resource exhausted",
            Self::FailedPrecondition => "failed precondition",
            Self::Aborted => "aborted",
            Self::OutOfRange => "out of range",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DataLoss => "data loss",
            Self::Unauthenticated => "unauthenticated",
        })
    }
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every way in which this crate fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plugin answered a call with an error.
    #[error("{doing}: {message} ({code})")]
    Pjrt {
        /// What was attempted, as a phrase: `compile the program`.
        doing: String,
        /// The plugin's status code.
        code: Code,
        /// The plugin's message, without the tail that blames StableHLO versions for any mistake.
        message: String,
    },
    /// The plugin's function table ends before a function, or leaves it empty.
    #[error("the plugin does not provide {function}: use a newer build of it")]
    MissingFunction {
        /// The C name of the function.
        function: &'static str,
    },
    /// A file that should be a plugin cannot be loaded as one.
    #[error("load the plugin {}: {why}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// A plugin was loaded but does not start: it finds no device, or refuses an option.
    #[error("start the plugin {}: {source}", path.display())]
    Start {
        /// The plugin's library.
        path: PathBuf,
        /// What it says.
        source: Box<Error>,
    },
    /// The plugin did something that the C API rules out.
    #[error("{doing}: the plugin {found}")]
    Misbehaved {
        /// What was attempted.
        doing: String,
        /// What the plugin did.
        found: String,
    },
    /// Bytes or elements on the host that do not fit their tensor type.
    #[error("{0}")]
    Host(String),
    /// Arguments of an execution that do not fit the program's signature.
    #[error("execute the program: {}", .0.join("; "))]
    Arguments(Vec<String>),
    /// A compiled program that is not what its signature says.
    #[error("check the compiled program against its signature: {}", .0.join("; "))]
    Signature(Vec<String>),
    /// A program that was compiled ahead of time does not fit its devices.
    #[error("compile the program: out of memory: {0}")]
    OutOfMemory(OutOfMemory),
    /// The compiler's process did not end in time and was killed.
    #[error("compile the program: the compiler was stopped after {} s without a result; give it more time if \
             the machine is slow or busy{}", limit.as_secs(), last_words(said))]
    CompilerTimedOut {
        /// How long it was given.
        limit: Duration,
        /// The end of its error output.
        said: String,
    },
    /// The compiler's process ended without a result: it aborted, or was killed.
    #[error("compile the program: the compiler ended without a result: {how}{}", last_words(said))]
    CompilerDied {
        /// What it replied and how it ended.
        how: String,
        /// The end of its error output.
        said: String,
    },
    /// Compile options that no plugin accepts.
    #[error("compile options: {0}")]
    Options(String),
    /// A plugin that has a name is nowhere on this machine.
    #[error("the {} plugin is not installed: run `porter plugin install {}`", plugin.name, plugin.name)]
    NoPlugin {
        /// The plugin's entry in the catalog.
        plugin: &'static KnownPlugin,
    },
    /// A plugin could not be installed.
    #[error("install the {plugin} plugin: {why}\nThen run `porter plugin install {plugin}`.")]
    Install {
        /// The plugin's name.
        plugin: &'static str,
        /// What went wrong.
        why: String,
    },
    /// The environment that the process was started with does not do.
    #[error("{0}")]
    Environment(String),
    /// There is no folder to keep files in.
    #[error("find a folder to keep files in: there is no home folder, so set {variable}")]
    NoHome {
        /// The variable that names one.
        variable: &'static str,
    },
    /// A file or folder could not be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was attempted: `create`, `read`, ...
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// Turns an IO error into an [`Error::Io`]: `.map_err(Error::io("read", path))`.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// True where the machine is at fault (a plugin, a file, Python, the network), and neither the
    /// program nor its arguments.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::MissingFunction { .. }
            | Self::Load { .. }
            | Self::Start { .. }
            | Self::NoPlugin { .. }
            | Self::Install { .. }
            | Self::CompilerTimedOut { .. }
            | Self::CompilerDied { .. }
            | Self::Environment(_)
            | Self::NoHome { .. }
            | Self::Io { .. } => true,
            Self::Pjrt { code, .. } => {
                matches!(code, Code::PermissionDenied | Code::ResourceExhausted | Code::Unavailable)
            }
            Self::Misbehaved { .. }
            | Self::OutOfMemory(_)
            | Self::Host(_)
            | Self::Arguments(_)
            | Self::Signature(_)
            | Self::Options(_) => false,
        }
    }

    /// The plugin's status code, where the plugin was the one that failed.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Pjrt { code, .. } => Some(*code),
            Self::Start { source, .. } => source.code(),
            _ => None,
        }
    }
}

/// The end of an error output below an error, where there is one.
fn last_words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("\nIt wrote:\n{said}") }
}

/// A plugin's message without its misleading tail.
///
/// Every parse or verification error of a program ends in `<unknown>:0: error: Failed to parse using
/// StableHLO vX.Y.Z, ...` and blames the version, also for a plain mistake in the text.
pub(crate) fn clean_message(message: &str) -> String {
    let Some((kept, _)) = message.split_once("Failed to parse using StableHLO") else {
        return message.to_owned();
    };
    let kept = kept.trim_end();
    kept.strip_suffix("<unknown>:0: error:").unwrap_or(kept).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_misleading_tail_goes_and_the_rest_stays() {
        let mistake = "-:2:8: error: custom op 'stablehlo.ad' is unknown";
        let tail = "\n<unknown>:0: error: Failed to parse using StableHLO v1.20.0, this could indicate ...";
        assert_eq!(clean_message(&format!("{mistake}{tail}")), mistake);
        assert_eq!(clean_message("No such compile option: 'xla_nope'"), "No such compile option: 'xla_nope'");
    }

    #[test]
    fn codes_are_those_of_the_header() {
        assert_eq!(Code::from_raw(pjrt_sys::PJRT_Error_Code_INVALID_ARGUMENT), Code::InvalidArgument);
        assert_eq!(Code::from_raw(pjrt_sys::PJRT_Error_Code_UNAUTHENTICATED), Code::Unauthenticated);
        assert_eq!(Code::from_raw(99), Code::Unknown);
    }
}
