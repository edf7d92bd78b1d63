//! GGUF versions 2 and 3 (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

pub(crate) mod blocks;
mod file;
mod ggml_type;
mod header;
mod values;

pub use file::GgufFile;
pub use ggml_type::GgmlType;
