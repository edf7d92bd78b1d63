//! A mapped GGUF file.

use std::{collections::BTreeMap, ops::Range, path::Path};

use super::{
    ggml_type,
    header::{self, Entry, Header},
};
use crate::{
    Checkpoint, Encoding, Error, Format, Metadata, TensorInfo, TensorView,
    error::{Problem, Problems},
    mapped::MappedTensors,
    stored::stored_bytes,
};

/// A mapped GGUF file. Shapes are row-major: the file's order of dimensions, reversed.
#[derive(Debug)]
pub struct GgufFile {
    tensors: MappedTensors,
    version: u32,
    metadata: Metadata,
}

impl GgufFile {
    /// Maps `path` and checks its header against its length.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut tensors = MappedTensors::open(path)?;
        let header = header::parse(&tensors.map, tensors.map.len()).map_err(|refusal| refusal.of(path))?;
        for (name, info, range) in lay_out(path, &header, tensors.map.len())? {
            tensors.insert(name, info, range);
        }
        let Header { version, metadata, .. } = header;
        Ok(Self { tensors, version, metadata })
    }

    pub(super) fn version(&self) -> u32 {
        self.version
    }
}

impl Checkpoint for GgufFile {
    fn path(&self) -> &Path {
        &self.tensors.path
    }

    fn format(&self) -> Format {
        Format::Gguf { version: self.version, parts: 1 }
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors.infos
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        self.tensors.tensor(name)
    }

    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.tensors.read_at(name, offset, out)
    }

    fn reads_in_place(&self, _name: &str) -> bool {
        true
    }

    fn release(&self, name: &str) {
        self.tensors.release(name);
    }
}

/// A tensor and where its bytes lie in the file.
pub(crate) type Placed = (String, TensorInfo, Range<usize>);

/// Every tensor of the header. All unknown types are reported at once, and so are all impossible sizes
/// and places.
pub(super) fn lay_out(path: &Path, header: &Header, file_bytes: usize) -> Result<Vec<Placed>, Error> {
    let mut placed = Vec::with_capacity(header.tensors.len());
    let mut problems = Problems::default();
    for entry in &header.tensors {
        let encoding = match ggml_type::encoding(entry.type_id) {
            Ok(encoding) => encoding,
            Err(what) => {
                problems.unsupported.push(Problem::tensor(&entry.name, what));
                continue;
            }
        };
        match place(entry, &encoding, header, file_bytes) {
            Ok(range) => {
                let info = TensorInfo { shape: entry.shape.clone(), encoding, bytes: range.len() };
                placed.push((entry.name.clone(), info, range));
            }
            Err(what) => problems.corrupt.push(Problem::tensor(&entry.name, what)),
        }
    }
    problems.corrupt.extend(overlaps(&placed));
    match (problems.corrupt.is_empty(), problems.unsupported.is_empty()) {
        (true, true) => Ok(placed),
        (true, false) => Err(Error::Unsupported { path: path.to_owned(), problems: problems.unsupported }),
        (false, _) => Err(Error::Corrupt { path: path.to_owned(), problems: problems.corrupt }),
    }
}

/// Tensors that share bytes.
fn overlaps(placed: &[Placed]) -> Vec<Problem> {
    let mut sorted: Vec<_> =
        placed.iter().map(|(name, _, range)| (name, range)).filter(|(_, range)| !range.is_empty()).collect();
    sorted.sort_by_key(|(name, range)| (range.start, range.end, *name));
    let neighbours = sorted.iter().zip(sorted.iter().skip(1));
    neighbours
        .filter(|((_, left), (_, right))| right.start < left.end)
        .map(|((left, _), (right, _))| Problem::tensor(*right, format!("overlaps tensor {left:?}")))
        .collect()
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
