//! Reading a model's configuration: config.json in both spellings, and GGUF metadata.

mod backbone;
mod experts;
pub(crate) mod gguf;
mod inert;
mod layers;
mod reader;
mod rope;
mod to_gguf;

use std::fmt;

pub(crate) use backbone::{BackboneDefaults, read_activation, read_backbone, read_depth, write_backbone};
pub(crate) use experts::read_experts;
pub(crate) use inert::INERT;
pub(crate) use layers::{layer_windows, write_windows};
pub(crate) use reader::Reader;
pub(crate) use rope::{read_rope, write_scaling};
pub(crate) use to_gguf::metadata;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The JSON document is not an object.
    #[error("a config is a JSON object, found {found}")]
    NotAnObject {
        /// The kind of value found.
        found: &'static str,
    },
    /// No architecture is named.
    #[error("the config names no architecture: neither \"architectures\" nor \"model_type\" is there")]
    NoArchitecture,
    /// The architecture is not in the registry.
    #[error("{found} is not supported; supported are {}", supported.join(", "))]
    UnknownArchitecture {
        /// The class, model type or GGUF architecture found.
        found: String,
        /// What the registry holds of that kind.
        supported: Vec<String>,
    },
    /// The architecture is known, but the config does not describe one that can be ported.
    #[error("{architecture}: the config is refused:{}", Lines(problems))]
    Refused {
        /// The Hugging Face class.
        architecture: &'static str,
        /// Everything wrong with it.
        problems: Vec<Problem>,
    },
    /// A GGUF tensor that belongs to the configuration (`rope_freqs.weight`) cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] porter_weights::Error),
}

/// One thing wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, with the keys of the objects around it: `rope_parameters.factor`.
    pub key: String,
    /// What sort of problem it is.
    pub kind: ProblemKind,
    /// What was found, and what was expected.
    pub what: String,
}

/// What sort of [`Problem`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A key without a usable default is absent.
    Missing,
    /// The value is of another type, or out of range.
    WrongType,
    /// The value is understood, but Porter does not implement it.
    Unsupported,
    /// A key that Porter does not know. The caller may choose to ignore it.
    Unknown,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Keys come from the file; control characters must not reach a terminal.
        write!(f, "{}: {}", self.key.escape_debug(), self.what)
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
