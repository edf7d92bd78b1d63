//! What is wrong with a safetensors header, said by tensor and field.
//!
//! The `safetensors` crate decides what is valid; its errors often name no tensor, so the header is
//! looked at again here once it was refused.

use std::path::Path;

use safetensors::SafeTensorError;
use serde_json::{Map, Value as Json};

use crate::{Error, error::Problem};

/// Every dtype name of safetensors 0.8.
const DTYPES: &str = "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ \
                      I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64";

/// Checks what the format demands and the crate does not: the header begins with `{`.
pub(crate) fn check_start(first: &[u8]) -> Result<(), Problem> {
    match first.get(8) {
        None => Err(Problem::header(format!(
            "the file has {} bytes; an 8-byte header length and a header were expected",
            first.len()
        ))),
        Some(b'{') => Ok(()),
        Some(byte) => Err(Problem::header(format!("begins with byte {byte:#04x}; expected '{{'"))),
    }
}

/// The error of a file of `file_bytes`, of which `first` is there, that the crate refused with
/// `refusal`.
pub(crate) fn explain(path: &Path, first: &[u8], file_bytes: u64, refusal: &SafeTensorError) -> Error {
    let Some(header) = parse(first) else {
        return Error::corrupt(path, Problem::header(refusal.to_string()));
    };
    let unknown: Vec<Problem> =
        header.iter().filter_map(|(name, entry)| unknown_dtype(name, entry)).collect();
    if !unknown.is_empty() {
        return Error::Unsupported { path: path.to_owned(), problems: unknown };
    }
    let mut problems: Vec<Problem> =
        header.iter().filter_map(|(name, entry)| malformed(name, entry)).collect();
    if problems.is_empty() {
        problems.push(match refusal {
            SafeTensorError::InvalidOffset(name) => {
                Problem::tensor(name, "data_offsets overlap another tensor, leave a hole, or run backwards")
            }
            other => Problem::header(format!("{other}; the file has {file_bytes} bytes")),
        });
    }
    Error::Corrupt { path: path.to_owned(), problems }
}

/// The header as JSON, if it is an object. `serde_json` bounds its own recursion.
fn parse(file: &[u8]) -> Option<Map<String, Json>> {
    let length = u64::from_le_bytes(*file.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(8)?;
    serde_json::from_slice(file.get(8..end)?).ok()
}

fn unknown_dtype(name: &str, entry: &Json) -> Option<Problem> {
    let dtype = entry.get("dtype")?.as_str()?;
    (!DTYPES.split(' ').any(|known| known == dtype))
        .then(|| Problem::tensor(name, format!("dtype {dtype:?} is not a safetensors dtype")))
}

/// What is wrong with one entry on its own.
fn malformed(name: &str, entry: &Json) -> Option<Problem> {
    if name == "__metadata__" {
        return malformed_metadata(entry);
    }
    let wrong = |what: String| Some(Problem::tensor(name, what));
    let Some(shape) = entry.get("shape").and_then(sizes) else {
        return wrong(format!("shape is {}; expected a list of sizes", field(entry, "shape")));
    };
    let Some((begin, end)) = entry.get("data_offsets").and_then(offsets) else {
        return wrong(format!("data_offsets is {}; expected [begin, end]", field(entry, "data_offsets")));
    };
    if begin > end {
        return wrong(format!("data_offsets run backwards, from {begin} to {end}"));
    }
    let bits = bits(entry.get("dtype")?.as_str()?)?;
    let Some(stored_bits) = shape.iter().try_fold(bits, |n, &size| n.checked_mul(size)) else {
        return wrong(format!("shape {shape:?} overflows"));
    };
    let bytes = stored_bits.div_ceil(8);
    (bytes != end - begin).then(|| {
        Problem::tensor(
            name,
            format!("shape {shape:?} takes {bytes} bytes, but data_offsets give {}", end - begin),
        )
    })
}

fn malformed_metadata(entry: &Json) -> Option<Problem> {
    const FIELD: &str = "__metadata__";
    let Some(metadata) = entry.as_object() else {
        return Some(Problem::field(FIELD, "is not an object"));
    };
    let (key, value) = metadata.iter().find(|(_, value)| !value.is_string())?;
    let value: String = value.to_string().chars().take(60).collect();
    Some(Problem::field(format!("{FIELD}.{key}"), format!("is {value}; expected text")))
}

fn sizes(list: &Json) -> Option<Vec<u64>> {
    list.as_array()?.iter().map(Json::as_u64).collect()
}

fn offsets(list: &Json) -> Option<(u64, u64)> {
    match sizes(list)?.as_slice() {
        [begin, end] => Some((*begin, *end)),
        _ => None,
    }
}

/// A field as text, cut to a readable length.
fn field(entry: &Json, name: &str) -> String {
    entry.get(name).map_or_else(|| "absent".to_owned(), |value| value.to_string().chars().take(60).collect())
}

fn bits(dtype: &str) -> Option<u64> {
    let digits: String =
        dtype.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    if dtype == "BOOL" { Some(8) } else { digits.parse().ok() }
}
