//! GGUF version 3 (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>): one file, or parts as
//! llama.cpp's `gguf-split` cuts them.

use std::collections::BTreeSet;

use porter_ir::Shape;

use super::{Layout, OutputFile, OutputTensor, Piece, Unwritable, WriteError, shards};
use crate::{
    Encoding, Metadata, Value,
    gguf::{
        ggml_type,
        header::{MAX_DIMS, alignment},
        split,
        values::{put, put_text},
    },
    stored::stored_bytes,
};

const FORMAT: &str = "GGUF";
const VERSION: u32 = 3;
/// GGML's `GGML_MAX_NAME`, with the zero at its end.
const MAX_NAME_BYTES: usize = 64;

/// What a GGUF holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Its keys. `split.*` keys are left out: they say what the parts of another file were.
    pub metadata: Metadata,
    /// Tensors that belong to the configuration, first in the file.
    pub constants: Vec<Constant>,
    /// The tensors, in file order.
    pub tensors: Vec<OutputTensor>,
}

/// A tensor whose bytes do not come from a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Its name.
    pub name: String,
    /// Its sizes, row-major.
    pub shape: Shape,
    /// How its elements are stored.
    pub encoding: Encoding,
    /// The stored bytes.
    pub bytes: Vec<u8>,
}

/// How to lay out a GGUF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufOptions {
    /// The name without `.gguf`.
    pub stem: String,
    /// A file holds at most these bytes of tensor data, or one tensor. `None` is one file.
    pub max_shard_bytes: Option<u64>,
}

/// Lays out `contents`. Metadata is in key order, all of it in the first file. All names, shapes and
/// element types that GGUF does not have are reported at once.
pub fn plan(contents: Contents, options: &GgufOptions) -> Result<Layout, WriteError> {
    let files = files(&contents, options)?;
    Ok(Layout { tensors: contents.tensors, files, closing: Vec::new() })
}

fn files(contents: &Contents, options: &GgufOptions) -> Result<Vec<OutputFile>, WriteError> {
    let entries = entries(contents)?;
    let align =
        alignment(&contents.metadata).map_err(|problem| refused("general.alignment", problem.what))?;
    let sizes: Vec<usize> = entries.iter().map(|entry| entry.bytes).collect();
    let parts = shards::split(&sizes, options.max_shard_bytes);
    let count = parts.len();
    if count > usize::from(u16::MAX) {
        return Err(refused("", format!("{count} parts are too many: use larger shards")));
    }
    let part = |(no, part): (usize, Vec<usize>)| {
        let part: Vec<&Entry<'_>> = part.iter().filter_map(|&i| entries.get(i)).collect();
        let mut keys = if no == 0 { without_split(&contents.metadata) } else { Metadata::default() };
        let path = if count == 1 {
            format!("{}.gguf", options.stem)
        } else {
            mark(&mut keys, no, count, entries.len());
            split::part_name(&options.stem, no, count)
        };
        OutputFile { path, pieces: pieces(&keys, &part, align) }
    };
    Ok(parts.into_iter().enumerate().map(part).collect())
}

fn refused(name: &str, what: String) -> WriteError {
    WriteError { format: FORMAT, problems: vec![Unwritable::new(name, what)] }
}

/// A tensor as the header lists it.
struct Entry<'a> {
    name: &'a str,
    shape: &'a Shape,
    type_id: u32,
    bytes: usize,
    data: Piece,
}

/// Every tensor.
fn entries(contents: &Contents) -> Result<Vec<Entry<'_>>, WriteError> {
    let constants = contents.constants.iter().map(|constant| {
        (&constant.name, &constant.shape, &constant.encoding, Piece::Bytes(constant.bytes.clone()))
    });
    let tensors = contents.tensors.iter().enumerate().map(|(i, tensor)| {
        let data = Piece::Elements { tensor: i, range: 0..tensor.shape.elements() };
        (&tensor.name, &tensor.shape, &tensor.encoding, data)
    });
    let mut names = BTreeSet::new();
    let (mut entries, mut problems) = (Vec::new(), Vec::new());
    for (name, shape, encoding, data) in constants.chain(tensors) {
        if !names.insert(name) {
            problems.push(Unwritable::new(name, "is the name of two tensors"));
        }
        match sized(name, shape, encoding, &data) {
            Ok((type_id, bytes)) => entries.push(Entry { name, shape, type_id, bytes, data }),
            Err(what) => problems.push(Unwritable::new(name, what)),
        }
    }
    WriteError::unless_empty(FORMAT, problems)?;
    Ok(entries)
}

/// The type id and the bytes of a tensor, or why GGUF cannot hold it.
fn sized(name: &str, shape: &Shape, encoding: &Encoding, data: &Piece) -> Result<(u32, usize), String> {
    if name.len() >= MAX_NAME_BYTES {
        return Err(format!("the name has {} bytes; GGML reads fewer than {MAX_NAME_BYTES}", name.len()));
    }
    if shape.rank() > MAX_DIMS as usize {
        return Err(format!("has {} dimensions; GGUF has at most {MAX_DIMS}", shape.rank()));
    }
    let type_id = ggml_type::id(encoding).ok_or_else(|| format!("GGUF has no {encoding}"))?;
    let bytes = stored_bytes(encoding, shape)?;
    match data {
        Piece::Bytes(stored) if stored.len() != bytes => {
            Err(format!("has {} bytes; {encoding}{shape} takes {bytes}", stored.len()))
        }
        _ => Ok((type_id, bytes)),
    }
}

fn without_split(metadata: &Metadata) -> Metadata {
    let mut keys = Metadata::default();
    for (key, value) in metadata.iter().filter(|(key, _)| !key.starts_with("split.")) {
        keys.insert(key, value.clone());
    }
    keys
}

/// Says which part of a split file this is, in the types that gguf-py uses.
fn mark(keys: &mut Metadata, no: usize, count: usize, tensors: usize) {
    keys.insert(split::NO, Value::U16(no as u16));
    keys.insert(split::COUNT, Value::U16(count as u16));
    keys.insert(split::TENSORS, Value::I32(i32::try_from(tensors).unwrap_or(i32::MAX)));
}

/// One file: the header, then each tensor filled up to the alignment.
fn pieces(keys: &Metadata, entries: &[&Entry<'_>], align: u64) -> Vec<Piece> {
    let align = usize::try_from(align).unwrap_or(usize::MAX);
    let mut header = header(keys, entries, align);
    header.resize(header.len().next_multiple_of(align), 0);
    let mut pieces = vec![Piece::Bytes(header)];
    for entry in entries {
        pieces.push(entry.data.clone());
        let padding = entry.bytes.next_multiple_of(align) - entry.bytes;
        if padding > 0 {
            pieces.push(Piece::Bytes(vec![0; padding]));
        }
    }
    pieces
}

/// Everything before the tensor data, without the padding.
fn header(keys: &Metadata, entries: &[&Entry<'_>], align: usize) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend((entries.len() as u64).to_le_bytes());
    out.extend((keys.len() as u64).to_le_bytes());
    for (key, value) in keys.iter() {
        put_text(key, &mut out);
        put(value, &mut out);
    }
    let mut offset = 0;
    for entry in entries {
        put_text(entry.name, &mut out);
        out.extend((entry.shape.rank() as u32).to_le_bytes());
        for &dim in entry.shape.iter().rev() {
            out.extend((dim as u64).to_le_bytes());
        }
        out.extend(entry.type_id.to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += entry.bytes.next_multiple_of(align);
    }
    out
}
