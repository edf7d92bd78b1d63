//! One array: its chunks, checked against their files, and any stretch of its bytes.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use host_memory::MappedFile;
use serde::Deserialize;
use serde_json::Value;

use super::tree::read_json;
use crate::{
    Error,
    error::Problem,
    zarr3::{self, Grid},
};

/// No `zarr.json` is larger.
const MAX_JSON_BYTES: u64 = 1_000_000;
/// Chunk files of one array that are kept open.
const OPEN_FILES: usize = 16;

/// An array whose chunks are all there.
pub(crate) struct Array {
    pub(crate) grid: Grid,
    folder: PathBuf,
    counts: Vec<usize>,
    open: Mutex<VecDeque<(usize, Arc<MappedFile>)>>,
}

/// A `zarr.json`.
#[derive(Deserialize)]
struct ZarrJson {
    zarr_format: u64,
    node_type: String,
    shape: Vec<usize>,
    data_type: Value,
    chunk_grid: Named,
    chunk_key_encoding: Named,
    codecs: Vec<Named>,
    #[serde(default)]
    storage_transformers: Vec<Value>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    configuration: Value,
}

impl Array {
    /// Reads the metadata of the array in `folder` and finds every chunk's file at its full size.
    pub(crate) fn open(folder: PathBuf) -> Result<Self, Error> {
        let path = folder.join(zarr3::METADATA);
        let grid = grid(&read_json(&path, MAX_JSON_BYTES)?, &path)?;
        let array = Self { counts: grid.counts(), grid, folder, open: Mutex::default() };
        array.check_chunks()?;
        Ok(array)
    }

    /// The array's bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.grid.shape.elements() * self.grid.dtype.host_bytes()
    }

    /// Every chunk is a file of its own, so that no size is believed that no file has; it ends at the
    /// first that is not there.
    fn check_chunks(&self) -> Result<(), Error> {
        let corrupt = |what: String| Error::corrupt(&self.folder, Problem::file(what));
        let bytes = self.grid.chunk_bytes().ok_or_else(|| corrupt("a chunk's size overflows".to_owned()))?;
        let total = self.counts.iter().try_fold(1_usize, |n, count| n.checked_mul(*count));
        let total = total.ok_or_else(|| corrupt("the number of chunks overflows".to_owned()))?;
        for chunk in 0..total {
            let path = self.chunk_path(chunk);
            let file = fs::metadata(self.folder.join(&path)).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => corrupt(format!("chunk {path:?} is missing")),
                _ => Error::open(&self.folder.join(&path), source),
            })?;
            if !file.is_file() {
                return Err(corrupt(format!("chunk {path:?} is not a regular file")));
            }
            if file.len() != bytes as u64 {
                let what = format!("chunk {path:?} has {} bytes; {bytes} are expected", file.len());
                return Err(corrupt(what));
            }
        }
        Ok(())
    }

    fn chunk_path(&self, chunk: usize) -> String {
        let mut rest = chunk;
        let mut index: Vec<usize> = Vec::with_capacity(self.counts.len());
        for count in self.counts.iter().rev() {
            index.push(rest % count);
            rest /= count;
        }
        index.reverse();
        zarr3::chunk_path(&index)
    }

    /// Copies the array's bytes from `offset` on, in row-major order. They must lie in it.
    pub(crate) fn read_at(&self, offset: usize, mut out: &mut [u8]) -> io::Result<()> {
        let element = self.grid.dtype.host_bytes();
        let mut position = offset / element;
        let mut skip = offset % element;
        while !out.is_empty() {
            let run = self.run_at(position);
            let bytes = (run.elements * element - skip).min(out.len());
            let (now, later) = out.split_at_mut(bytes);
            self.chunk(run.chunk)?.read_at((run.at * element + skip) as u64, now)?;
            position += run.elements;
            skip = 0;
            out = later;
        }
        Ok(())
    }

    /// The longest run from element `position` on that lies in one chunk one after another.
    fn run_at(&self, position: usize) -> Run {
        let (mut rest, mut chunk, mut at) = (position, 0, 0);
        let (mut chunks, mut inside) = (1, 1);
        let (mut elements, mut whole) = (1, true);
        let dims = self.grid.shape.iter().zip(&self.grid.chunk).zip(&self.counts).rev();
        for ((size, chunk_size), count) in dims {
            let index = rest % size;
            rest /= size;
            chunk += index / chunk_size * chunks;
            at += index % chunk_size * inside;
            if whole {
                // All dimensions behind this one are whole in a chunk, so that its rows are one run.
                let here = index % chunk_size;
                let left = (chunk_size - here).min(size - index);
                elements = left * inside - at % inside;
                whole = chunk_size == size;
            }
            chunks *= count;
            inside *= chunk_size;
        }
        Run { chunk, at, elements }
    }

    /// A chunk's file, kept open for a while.
    fn chunk(&self, chunk: usize) -> io::Result<Arc<MappedFile>> {
        let lock = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, file)) = lock().iter().find(|(open, _)| *open == chunk) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(MappedFile::open(&self.folder.join(self.chunk_path(chunk)))?);
        let mut open = lock();
        open.truncate(OPEN_FILES - 1);
        open.push_front((chunk, Arc::clone(&file)));
        Ok(file)
    }
}

/// A stretch of one chunk.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    chunk: usize,
    /// The first element, in the chunk.
    at: usize,
    elements: usize,
}

/// The grid that a `zarr.json` describes, or everything about it that is not read.
fn grid(json: &ZarrJson, path: &Path) -> Result<Grid, Error> {
    let mut problems = crate::error::Problems::default();
    let mut unsupported = |field: &str, what: String| problems.unsupported.push(Problem::field(field, what));
    if json.zarr_format != 3 || json.node_type != "array" {
        unsupported("zarr_format", "an array of Zarr version 3 is expected".to_owned());
    }
    let dtype = json.data_type.as_str().and_then(zarr3::dtype);
    if dtype.is_none() {
        unsupported("data_type", format!("{} is not read", json.data_type));
    }
    let separator = json.chunk_key_encoding.configuration.get("separator");
    if json.chunk_key_encoding.name != "default" || separator.is_some_and(|separator| separator != "/") {
        unsupported("chunk_key_encoding", "the default with \"/\" between indices is expected".to_owned());
    }
    let endian = |codec: &Named| codec.configuration.get("endian").is_none_or(|endian| endian == "little");
    let uncompressed = matches!(&json.codecs[..], [codec] if codec.name == "bytes" && endian(codec));
    if !uncompressed {
        let names: Vec<&str> = json.codecs.iter().map(|codec| codec.name.as_str()).collect();
        let what = format!(
            "chunks are encoded by {}; uncompressed little-endian ones are read: restore the checkpoint with \
             orbax-checkpoint and save it as safetensors",
            names.join(", ")
        );
        unsupported("codecs", what);
    }
    if !json.storage_transformers.is_empty() {
        unsupported("storage_transformers", "none is read".to_owned());
    }
    if json.chunk_grid.name != "regular" {
        unsupported("chunk_grid", "a regular grid is expected".to_owned());
    }
    let chunk = json.chunk_grid.configuration.get("chunk_shape").cloned().unwrap_or_default();
    let chunk: Vec<usize> = serde_json::from_value(chunk).unwrap_or_default();
    if chunk.len() != json.shape.len() || chunk.contains(&0) {
        let what = format!("the chunk shape {chunk:?} does not fit the shape {:?}", json.shape);
        problems.corrupt.push(Problem::field("chunk_grid", what));
    }
    let shape = porter_ir::Shape::new(json.shape.clone());
    let bytes = shape.checked_elements().and_then(|n| n.checked_mul(size_of::<u64>()));
    if bytes.is_none() {
        problems.corrupt.push(Problem::field("shape", format!("{shape} overflows")));
    }
    problems.finish(path)?;
    Ok(Grid { dtype: dtype.unwrap_or(porter_ir::DType::F32), shape, chunk })
}
