//! Text in and text out: tokenizers, chat templates, sampling, stop rules and streaming.
//!
//! Nothing here knows a device or a model: token ids and logits come in, token ids and text go out.
//!
//! | module | holds |
//! |---|---|
//! | [`tokenizer`] | text to ids and back, from `tokenizer.json` or from GGUF metadata ([`gguf`]) |
//! | [`chat`] | chat templates, rendered as transformers renders them |
//! | [`stream`] | ids to text piece by piece, never splitting a character |
//! | [`sampler`] | logits to the next id: greedy, temperature, top-k, top-p |
//! | [`stop`] | stop tokens and stop strings |

pub mod chat;
mod error;
pub mod gguf;
pub mod sampler;
pub mod stop;
pub mod stream;
pub mod tokenizer;

pub use chat::{ChatContext, ChatTemplate, Message};
pub use error::{ErrorKind, TextError};
pub use gguf::{GgufVocabulary, HfFiles, HfTokenizer};
pub use sampler::{Sampler, SamplerOptions};
pub use stop::{StopStrings, StopTokens};
pub use stream::TextStream;
pub use tokenizer::{Encoding, Tokenizer};
