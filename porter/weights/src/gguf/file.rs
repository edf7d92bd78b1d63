//! A mapped GGUF file.

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use host_memory::MappedFile;

use super::{
    ggml_type,
    header::{self, Entry, Header, Refusal},
};
use crate::{
    Checkpoint, Encoding, Error, Format, Metadata, TensorInfo, TensorView, error::Problem,
    stored::stored_bytes,
};

/// A mapped GGUF file. Shapes are row-major: the file's order of dimensions, reversed.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    map: MappedFile,
    version: u32,
    metadata: Metadata,
    tensors: BTreeMap<String, TensorInfo>,
    ranges: BTreeMap<String, Range<usize>>,
}

impl GgufFile {
    /// Maps `path` and checks its header against its length.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let map = MappedFile::open(path).map_err(|source| Error::open(path, source))?;
        let header = header::parse(&map).map_err(|refusal| match refusal {
            Refusal::Corrupt(problem) => Error::corrupt(path, problem),
            Refusal::Unsupported(problem) => Error::unsupported(path, problem),
        })?;
        let (tensors, ranges) = lay_out(path, &header, map.len())?;
        let Header { version, metadata, .. } = header;
        Ok(Self { path: path.to_owned(), map, version, metadata, tensors, ranges })
    }
}

impl Checkpoint for GgufFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        Format::Gguf { version: self.version }
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let found = self.tensors.get(name).zip(self.ranges.get(name));
        let (info, range) =
            found.ok_or_else(|| Error::NoTensor { path: self.path.clone(), name: name.to_owned() })?;
        let bytes = self.map.get(range.clone()).ok_or_else(|| {
            Error::corrupt(
                &self.path,
                Problem::tensor(name, format!("bytes {range:?} lie past the end of the file")),
            )
        })?;
        Ok(TensorView { info, bytes })
    }

    fn release(&self, name: &str) {
        if let Some(range) = self.ranges.get(name) {
            self.map.release(range.clone());
        }
    }
}

type Layout = (BTreeMap<String, TensorInfo>, BTreeMap<String, Range<usize>>);

/// Every tensor's entry and place in the file. All unknown types are reported at once, and so are
/// all impossible sizes and places.
fn lay_out(path: &Path, header: &Header, file_bytes: usize) -> Result<Layout, Error> {
    let mut layout = Layout::default();
    let mut unsupported = Vec::new();
    let mut corrupt = Vec::new();
    for entry in &header.tensors {
        let encoding = match ggml_type::encoding(entry.type_id) {
            Ok(encoding) => encoding,
            Err(what) => {
                unsupported.push(Problem::tensor(&entry.name, what));
                continue;
            }
        };
        match place(entry, &encoding, header, file_bytes) {
            Ok(range) => {
                let info = TensorInfo { shape: entry.shape.clone(), encoding, bytes: range.len() };
                layout.0.insert(entry.name.clone(), info);
                layout.1.insert(entry.name.clone(), range);
            }
            Err(what) => corrupt.push(Problem::tensor(&entry.name, what)),
        }
    }
    corrupt.extend(overlaps(&layout.1));
    let path = path.to_owned();
    if !corrupt.is_empty() {
        return Err(Error::Corrupt { path, problems: corrupt });
    }
    if !unsupported.is_empty() {
        return Err(Error::Unsupported { path, problems: unsupported });
    }
    Ok(layout)
}

/// Where a tensor's bytes lie in the file.
fn place(
    entry: &Entry,
    encoding: &Encoding,
    header: &Header,
    file_bytes: usize,
) -> Result<Range<usize>, String> {
    let bytes = stored_bytes(encoding, &entry.shape)?;
    if !entry.offset.is_multiple_of(header.alignment) {
        return Err(format!(
            "offset {} is not a multiple of the alignment {}",
            entry.offset, header.alignment
        ));
    }
    let begin = usize::try_from(entry.offset).ok().and_then(|offset| header.data_start.checked_add(offset));
    let range = begin.and_then(|begin| Some(begin..begin.checked_add(bytes)?));
    range.filter(|range| range.end <= file_bytes).ok_or_else(|| {
        format!(
            "{encoding}{} takes {bytes} bytes at offset {} of the tensor data, which has {} bytes",
            entry.shape,
            entry.offset,
            file_bytes - header.data_start
        )
    })
}

/// Tensors that share bytes.
fn overlaps(ranges: &BTreeMap<String, Range<usize>>) -> Vec<Problem> {
    let mut sorted: Vec<(&String, &Range<usize>)> =
        ranges.iter().filter(|(_, range)| !range.is_empty()).collect();
    sorted.sort_by_key(|(_, range)| (range.start, range.end));
    let neighbours = sorted.iter().zip(sorted.iter().skip(1));
    neighbours
        .filter(|((_, left), (_, right))| right.start < left.end)
        .map(|((left, _), (right, _))| Problem::tensor(*right, format!("overlaps tensor {left:?}")))
        .collect()
}
