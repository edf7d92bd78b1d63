//! Headers from the first bytes of a file: for files that are read by ranges, wherever they lie.

use std::{collections::BTreeMap, ops::Range, path::Path};

use crate::{
    Error, Format, Metadata, TensorInfo,
    error::Problem,
    gguf::{self, Placed},
    safetensors_file,
};

/// No header is larger: a GGUF file's holds a vocabulary, safetensors allows 100 MB.
const MAX_HEADER_BYTES: u64 = 256 << 20;

/// What a file says before its tensor data, checked against the file's length.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The file format.
    pub format: Format,
    /// The file's own metadata.
    pub metadata: Metadata,
    /// Every tensor, by name.
    pub tensors: BTreeMap<String, StoredTensor>,
}

/// A tensor's entry, and where its bytes lie in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// The entry.
    pub info: TensorInfo,
    /// From the start of the file; inside it.
    pub range: Range<u64>,
}

/// What a file's first bytes give.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderRead {
    /// The header.
    Whole(Box<Header>),
    /// It is longer: so many first bytes of the file, all of them within it, may be enough.
    Needs(u64),
}

impl Header {
    /// Reads the header of the safetensors file `path` of `file_bytes`, whose first bytes are `first`.
    pub fn safetensors(path: &Path, first: &[u8], file_bytes: u64) -> Result<HeaderRead, Error> {
        Ok(match safetensors_file::first_bytes(path, first, file_bytes)? {
            Ok((metadata, placed)) => whole(Format::Safetensors, metadata, placed),
            Err(needs) => HeaderRead::Needs(needs.min(file_bytes)),
        })
    }

    /// Reads the header of the GGUF file `path` of `file_bytes`, whose first bytes are `first`.
    pub fn gguf(path: &Path, first: &[u8], file_bytes: u64) -> Result<HeaderRead, Error> {
        let length = usize::try_from(file_bytes).unwrap_or(usize::MAX);
        if let Some((version, metadata, placed)) = gguf::first_bytes(path, first, length)? {
            return Ok(whole(Format::Gguf { version, parts: 1 }, metadata, placed));
        }
        let have = first.len() as u64;
        if have >= MAX_HEADER_BYTES {
            let what = format!("has no end within {MAX_HEADER_BYTES} bytes");
            return Err(Error::corrupt(path, Problem::header(what)));
        }
        Ok(HeaderRead::Needs(have.saturating_mul(4).clamp(1 << 16, MAX_HEADER_BYTES).min(file_bytes)))
    }
}

fn whole(format: Format, metadata: Metadata, placed: Vec<Placed>) -> HeaderRead {
    let stored = |(name, info, range): Placed| {
        (name, StoredTensor { info, range: range.start as u64..range.end as u64 })
    };
    HeaderRead::Whole(Box::new(Header {
        format,
        metadata,
        tensors: placed.into_iter().map(stored).collect(),
    }))
}
