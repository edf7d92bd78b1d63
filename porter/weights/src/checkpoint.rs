//! What every checkpoint format has in common.

use std::{borrow::Cow, collections::BTreeMap, fmt, fs, path::Path, time::UNIX_EPOCH};

use porter_ir::{DType, Shape};

use crate::{Error, GgmlType, Metadata, error::Problem};

/// A checkpoint as its file holds it: names, shapes, encodings, metadata, and bytes on demand.
///
/// Opening one reads headers only. Nothing is renamed, permuted or cast here; that is what
/// [`WeightMap`](crate::WeightMap) is for.
pub trait Checkpoint: Send + Sync {
    /// The file or folder that was opened.
    fn path(&self) -> &Path;

    /// The file format.
    fn format(&self) -> Format;

    /// Every tensor, by name.
    fn tensors(&self) -> &BTreeMap<String, TensorInfo>;

    /// The file's own metadata.
    fn metadata(&self) -> &Metadata;

    /// The elements of one tensor, borrowed from the file's map wherever they lie there one after
    /// another; strided and compressed ones are copied. A tensor that is listed and cannot be given,
    /// as a quantised one of PyTorch, is an error of its own.
    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error>;

    /// Copies stored bytes of one tensor, from byte `offset` of it on, into `out`. Formats that
    /// [read in place](Self::reads_in_place) take no memory for it.
    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        copy_stored(self, name, offset, out)
    }

    /// True if [`read_at`](Self::read_at) reads just what it is asked for; otherwise it makes the
    /// whole tensor each time.
    fn reads_in_place(&self, _name: &str) -> bool {
        false
    }

    /// Tells the system that a tensor's bytes are not needed soon, so that they stop counting as
    /// this process's memory. Reading it again later is correct, only slower. Unknown names are
    /// ignored.
    fn release(&self, name: &str);

    /// What tells this source from a changed one: the size and the time of change of every file.
    fn identity(&self) -> Result<String, Error> {
        file_identity(self.path())
    }

    /// Groups of tensors that are one tensor under several names: the same elements of the same
    /// storage, in the same order. Formats that name no storages have none.
    fn ties(&self) -> Vec<Vec<String>> {
        Vec::new()
    }

    /// What the reader chose or left out, a line each, for the person who gave the file.
    fn notes(&self) -> &[String] {
        &[]
    }
}

/// The size and the time of change of a file.
pub(crate) fn file_identity(path: &Path) -> Result<String, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::open(path, source))?;
    let time = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let nanos = time.unwrap_or_default().as_nanos();
    Ok(format!("{name}: {} bytes, changed at {nanos} ns", metadata.len()))
}

/// Copies stored bytes out of the whole tensor.
pub(crate) fn copy_stored<C: Checkpoint + ?Sized>(
    checkpoint: &C,
    name: &str,
    offset: u64,
    out: &mut [u8],
) -> Result<(), Error> {
    let bytes = checkpoint.tensor(name)?.bytes;
    let begin = usize::try_from(offset).unwrap_or(usize::MAX);
    let stored = begin.checked_add(out.len()).and_then(|end| bytes.get(begin..end));
    let stored = stored.ok_or_else(|| {
        let what = format!("{} bytes at {offset} were asked for; it has {}", out.len(), bytes.len());
        Error::corrupt(checkpoint.path(), Problem::tensor(name, what))
    })?;
    out.copy_from_slice(stored);
    Ok(())
}

/// A checkpoint file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One safetensors file.
    Safetensors,
    /// Several safetensors files under one index.
    SafetensorsShards {
        /// How many files.
        shards: usize,
    },
    /// GGUF.
    Gguf {
        /// The format version: 2 or 3.
        version: u32,
        /// How many files.
        parts: usize,
    },
    /// An Orbax checkpoint of Zarr arrays.
    Orbax,
    /// One PyTorch file.
    PyTorch(PyTorchKind),
    /// Several PyTorch files under one index.
    PyTorchShards {
        /// How many files.
        shards: usize,
    },
    /// Arrays of NumPy.
    Npz,
    /// The tensors of an ONNX graph.
    Onnx,
}

/// How a PyTorch file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PyTorchKind {
    /// A zip archive, by `torch.save` since 1.6.
    Zip,
    /// A run of pickles with the storages after them, by `torch.save` before 1.6.
    Legacy,
    /// A TorchScript archive.
    TorchScript,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Format::Safetensors => f.write_str("safetensors"),
            Format::SafetensorsShards { shards } => write!(f, "safetensors, {shards} shards"),
            Format::Gguf { version, parts: 1 } => write!(f, "GGUF v{version}"),
            Format::Gguf { version, parts } => write!(f, "GGUF v{version}, {parts} parts"),
            Format::Orbax => f.write_str("Orbax"),
            Format::PyTorch(PyTorchKind::Zip) => f.write_str("PyTorch"),
            Format::PyTorch(PyTorchKind::Legacy) => f.write_str("PyTorch, legacy"),
            Format::PyTorch(PyTorchKind::TorchScript) => f.write_str("TorchScript"),
            Format::Npz => f.write_str("NumPy arrays"),
            Format::Onnx => f.write_str("ONNX"),
            Format::PyTorchShards { shards } => write!(f, "PyTorch, {shards} shards"),
        }
    }
}

/// How a tensor's elements are stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Little-endian elements one after another; 4-bit types two to a byte, low half first.
    Plain(DType),
    /// Blocks of a GGML quantised type.
    Block(GgmlType),
    /// An element type that is listed, but not read as numbers: the format's own name of it.
    Other(String),
}

impl Encoding {
    /// The element type that the tensor has as numbers: blocks are `f32`. `None` where it cannot be
    /// read as numbers.
    pub fn dtype(&self) -> Option<DType> {
        match self {
            Encoding::Plain(dtype) => Some(*dtype),
            Encoding::Block(_) => Some(DType::F32),
            Encoding::Other(_) => None,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Encoding::Plain(dtype) => dtype.fmt(f),
            Encoding::Block(block) => block.fmt(f),
            Encoding::Other(name) => f.write_str(name),
        }
    }
}

/// A tensor's entry in a checkpoint header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Sizes in row-major order, as PyTorch prints them.
    pub shape: Shape,
    /// How the elements are stored.
    pub encoding: Encoding,
    /// The stored size in bytes.
    pub bytes: usize,
}

/// One tensor: its entry and its stored bytes.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    /// The entry.
    pub info: &'a TensorInfo,
    /// Exactly `info.bytes` stored bytes, at any alignment.
    pub bytes: Cow<'a, [u8]>,
}
