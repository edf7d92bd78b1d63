//! The part of a GGUF file before the tensor data.

use std::{collections::BTreeMap, path::Path};

use porter_ir::Shape;

use super::values;
use crate::{Error, Metadata, Value, cursor::Cursor, error::Problem};

/// The alignment of tensor data where `general.alignment` is absent.
const DEFAULT_ALIGNMENT: u64 = 32;
/// GGML's `GGML_MAX_DIMS`.
pub(crate) const MAX_DIMS: u32 = 4;
/// The least bytes of a metadata entry: key length, value type, one byte of value.
const LEAST_ENTRY_BYTES: usize = 13;
/// The least bytes of a tensor entry: name length, rank, type, offset.
const LEAST_TENSOR_BYTES: usize = 24;

/// A parsed header. Sizes of tensors are not checked against the file yet.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) metadata: Metadata,
    /// In file order.
    pub(super) tensors: Vec<Entry>,
    pub(super) alignment: u64,
    /// Where tensor data begins in the file.
    pub(super) data_start: usize,
}

/// A tensor's entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Row-major: the file's order reversed.
    pub(super) shape: Shape,
    pub(super) type_id: u32,
    /// From the start of the tensor data.
    pub(super) offset: u64,
}

/// Why a header is refused.
pub(super) enum Refusal {
    Corrupt(Problem),
    Unsupported(Problem),
}

impl Refusal {
    pub(super) fn of(self, path: &Path) -> Error {
        match self {
            Refusal::Corrupt(problem) => Error::corrupt(path, problem),
            Refusal::Unsupported(problem) => Error::unsupported(path, problem),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Refusal::Corrupt(problem)
    }
}

/// Parses the header of a GGUF file of `file_bytes` from its first bytes.
pub(super) fn parse(first: &[u8], file_bytes: usize) -> Result<Header, Refusal> {
    let mut cursor = Cursor::new(first);
    let version = version(&mut cursor)?;
    let header_field = |field: &str| {
        let field = field.to_owned();
        move |what: String| Problem::field(field, what)
    };
    let tensor_count = cursor.count("tensors", LEAST_TENSOR_BYTES).map_err(header_field("tensor_count"))?;
    let entry_count =
        cursor.count("entries", LEAST_ENTRY_BYTES).map_err(header_field("metadata_kv_count"))?;
    let metadata = metadata(&mut cursor, entry_count)?;
    let tensors = tensors(&mut cursor, tensor_count)?;
    let alignment = alignment(&metadata)?;
    let data_start = (cursor.position() as u64).next_multiple_of(alignment);
    // A file without tensor data may end before the padding.
    let data_start = usize::try_from(data_start).unwrap_or(usize::MAX).min(file_bytes);
    Ok(Header { version, metadata, tensors, alignment, data_start })
}

fn version(cursor: &mut Cursor<'_>) -> Result<u32, Refusal> {
    let magic: [u8; 4] = cursor.array().map_err(Problem::header)?;
    if magic != *b"GGUF" {
        return Err(Problem::header(format!(
            "begins with {:?}; expected \"GGUF\"",
            magic.escape_ascii().to_string()
        ))
        .into());
    }
    let version = cursor.u32().map_err(Problem::header)?;
    match version {
        2 | 3 => Ok(version),
        _ if matches!(version.swap_bytes(), 1..=3) => Err(Refusal::Unsupported(Problem::field(
            "version",
            "the file is big-endian; little-endian is read",
        ))),
        _ => Err(Refusal::Unsupported(Problem::field("version", format!("is {version}; 2 and 3 are read")))),
    }
}

fn metadata(cursor: &mut Cursor<'_>, count: usize) -> Result<Metadata, Problem> {
    let mut metadata = Metadata::default();
    for index in 0..count {
        let key =
            cursor.text().map_err(|what| Problem::header(format!("key of metadata entry {index} {what}")))?;
        let value = values::value(cursor).map_err(|what| Problem::field(key, what))?;
        if metadata.insert(key.to_owned(), value).is_some() {
            return Err(Problem::field(key, "stands twice"));
        }
    }
    Ok(metadata)
}

fn tensors(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<Entry>, Problem> {
    let mut tensors = Vec::with_capacity(count);
    let mut seen = BTreeMap::new();
    for index in 0..count {
        let name = cursor.text().map_err(|what| Problem::header(format!("name of tensor {index} {what}")))?;
        if let Some(first) = seen.insert(name, index) {
            return Err(Problem::tensor(name, format!("stands twice, as entries {first} and {index}")));
        }
        tensors.push(entry(cursor, name).map_err(|what| Problem::tensor(name, what))?);
    }
    Ok(tensors)
}

fn entry(cursor: &mut Cursor<'_>, name: &str) -> Result<Entry, String> {
    let rank = cursor.u32()?;
    if rank > MAX_DIMS {
        return Err(format!("has {rank} dimensions; at most {MAX_DIMS} are allowed"));
    }
    let mut dims = (0..rank)
        .map(|_| cursor.u64().and_then(|d| usize::try_from(d).map_err(|_| format!("has a dimension of {d}"))))
        .collect::<Result<Vec<usize>, _>>()?;
    dims.reverse();
    Ok(Entry { name: name.to_owned(), shape: dims.into(), type_id: cursor.u32()?, offset: cursor.u64()? })
}

/// The alignment of tensor data.
pub(crate) fn alignment(metadata: &Metadata) -> Result<u64, Problem> {
    const KEY: &str = "general.alignment";
    match metadata.get(KEY) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(&Value::U32(alignment)) if alignment.is_power_of_two() => Ok(alignment.into()),
        Some(other) => Err(Problem::field(KEY, format!("is {other}; expected a u32 power of two"))),
    }
}
