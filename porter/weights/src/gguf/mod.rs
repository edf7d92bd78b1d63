//! GGUF versions 2 and 3 (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

pub(crate) mod blocks;
mod file;
pub(crate) mod ggml_type;
pub(crate) mod header;
pub(crate) mod split;
pub(crate) mod values;

pub use file::GgufFile;
pub(crate) use file::Placed;
pub use ggml_type::GgmlType;
pub use split::GgufShards;

use std::path::Path;

use crate::{Error, Metadata};

/// The version, metadata and tensors of a file of `file_bytes` from its first bytes, or `None` if they
/// end before the header does.
pub(crate) fn first_bytes(
    path: &Path,
    first: &[u8],
    file_bytes: usize,
) -> Result<Option<(u32, Metadata, Vec<Placed>)>, Error> {
    match header::parse(first, file_bytes) {
        Ok(header) => {
            let placed = file::lay_out(path, &header, file_bytes)?;
            Ok(Some((header.version, header.metadata, placed)))
        }
        // A header that is cut off looks like one that is wrong.
        Err(header::Refusal::Corrupt(_)) if first.len() < file_bytes && is_cut(first) => Ok(None),
        Err(refusal) => Err(refusal.of(path)),
    }
}

/// False if the very first bytes are those of another kind of file.
fn is_cut(first: &[u8]) -> bool {
    first.get(..4).is_none_or(|magic| magic == b"GGUF")
}
