//! Checkpoint formats out: each plans a [`Layout`], every file to the byte, before anything is read.

mod chunks;
mod error;
pub mod gguf;
mod layout;
pub mod orbax;
mod output;
pub mod safetensors;
mod shards;

pub use error::{Unwritable, WriteError};
pub use layout::{Layout, OutputFile, OutputTensor, Piece};
pub(crate) use output::Output;
