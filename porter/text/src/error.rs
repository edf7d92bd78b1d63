//! What can go wrong between text and token ids.

use std::path::PathBuf;

/// What a caller can do about a [`TextError`]; the command line maps it to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request is wrong (a sampling option, an id outside the vocabulary): exit code 2.
    Usage,
    /// The model asks for something that Porter does not have: exit code 3.
    Unsupported,
    /// The file is corrupt or hostile: exit code 4.
    Corrupt,
    /// The file cannot be read: exit code 5.
    Environment,
}

/// An error of this crate. The message names the file or field, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A tokenizer or template file that the system would not read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
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
    /// A tokenizer that does not hold together.
    #[error("{origin}: not a valid tokenizer: {reason}")]
    Tokenizer {
        /// The file, or `GGUF metadata`.
        origin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A metadata field or configuration key of the wrong type or value.
    #[error("{field}: found {found}, expected {expected}")]
    Field {
        /// The field, with its file where there is one.
        field: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: String,
    },
    /// A tokenizer kind that Porter does not have.
    #[error("{field} is `{found}`; Porter knows {known}")]
    Unsupported {
        /// The field.
        field: &'static str,
        /// What it holds.
        found: String,
        /// The values that are understood.
        known: &'static str,
    },
    /// An id that the vocabulary does not hold.
    #[error("token id {id} is outside the vocabulary of {vocabulary} tokens")]
    UnknownId {
        /// The id.
        id: u32,
        /// The number of tokens.
        vocabulary: usize,
    },
    /// Text that the tokenizer refused.
    #[error("cannot encode the text: {0}")]
    Encode(String),
    /// Ids that the tokenizer refused.
    #[error("cannot decode the token ids: {0}")]
    Decode(String),
    /// A chat template that does not parse, fails, or takes too much.
    #[error("chat template of {origin}: {reason}")]
    Template {
        /// Where the template came from.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A conversation that the chat template itself refuses through `raise_exception`.
    #[error("the model's chat template refuses this conversation: {0}")]
    Refused(String),
    /// A sampling option outside its range.
    #[error("{option} is {found}; expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// The value given.
        found: String,
        /// The values that make sense.
        expected: &'static str,
    },
    /// Logits that cannot be sampled from.
    #[error("cannot choose the next token: {0}")]
    Logits(String),
}

impl TextError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::Environment,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::UnknownId { .. }
            | Self::Encode(_)
            | Self::Decode(_)
            | Self::Refused(_)
            | Self::Option { .. } => ErrorKind::Usage,
            Self::TooLarge { .. }
            | Self::Tokenizer { .. }
            | Self::Field { .. }
            | Self::Template { .. }
            | Self::Logits(_) => ErrorKind::Corrupt,
        }
    }
}
