//! GGUF versions 2 and 3 (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

pub(crate) mod blocks;
mod file;
pub(crate) mod ggml_type;
pub(crate) mod header;
pub(crate) mod split;
pub(crate) mod values;

pub use file::GgufFile;
pub use ggml_type::GgmlType;
pub use split::GgufShards;
