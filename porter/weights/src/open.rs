//! Opening a checkpoint by its path.

use std::{fs, io, path::Path};

use crate::{
    Checkpoint, Error, NpzFile, PyTorchFile, SafetensorsFile, ShardedCheckpoint, error::Problem, gguf::split,
};

/// The names of weights in a Hugging Face folder, in the order in which transformers looks for them.
const STANDARD: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// How to open a checkpoint. The default refuses what it does not understand and finds the weights
/// of a training checkpoint by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// What to do with the classes and functions that a pickle names.
    pub pickle_globals: PickleGlobals,
    /// Where in a PyTorch file the weights lie: tensors outside this path are left out, and the
    /// names of those inside go on from it. The empty path is the whole file, as all other formats
    /// are. `None` finds it: see [`PyTorchFile`].
    pub prefix: Option<String>,
}

/// What to do with a class or function that a pickle names and that makes neither a tensor nor a
/// plain container. It is never run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PickleGlobals {
    /// The file is refused, and every such name is listed.
    #[default]
    Refuse,
    /// The names are [notes](Checkpoint::notes), and the tensors around and in such values are read.
    Lenient,
}

/// Opens a checkpoint with the default [`OpenOptions`]; see [`open_with`].
pub fn open(path: &Path) -> Result<Box<dyn Checkpoint>, Error> {
    open_with(path, &OpenOptions::default())
}

/// Opens a checkpoint: a `.safetensors` file, a `.safetensors.index.json` index, a `.gguf` file (with the
/// parts beside it, if it is one of a split GGUF), a PyTorch file (`.pt`, `.pth`, `.bin`, `.ckpt`, `.jit`),
/// arrays of NumPy (`.npz`), a `.bin.index.json` index, or a folder that holds
/// `model.safetensors`, `pytorch_model.bin` or the index of one of them (the first wins, as in
/// transformers).
pub fn open_with(path: &Path, options: &OpenOptions) -> Result<Box<dyn Checkpoint>, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::open(path, source))?;
    if metadata.is_dir() { open_folder(path, options) } else { open_file(path, options) }
}

fn open_folder(folder: &Path, options: &OpenOptions) -> Result<Box<dyn Checkpoint>, Error> {
    for name in STANDARD {
        let file = folder.join(name);
        if file.is_file() {
            return open_file(&file, options);
        }
    }
    let what = format!("the folder holds none of {}", STANDARD.join(", "));
    Err(Error::open(folder, io::Error::new(io::ErrorKind::NotFound, what)))
}

fn open_file(path: &Path, options: &OpenOptions) -> Result<Box<dyn Checkpoint>, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().and_then(|extension| extension.to_str());
    let single = matches!(extension, Some("pt" | "pth" | "bin" | "ckpt" | "jit"));
    if let Some(prefix) = options.prefix.as_deref().filter(|prefix| !prefix.is_empty() && !single) {
        let what =
            format!("the state dict {prefix:?} was asked for; only a single PyTorch file holds several");
        return Err(Error::unsupported(path, Problem::file(what)));
    }
    if name.ends_with(".safetensors.index.json") {
        return Ok(Box::new(ShardedCheckpoint::open_safetensors(path)?));
    }
    if name.ends_with(".bin.index.json") {
        return Ok(Box::new(ShardedCheckpoint::open_pytorch(path, options)?));
    }
    match extension {
        Some("safetensors") => Ok(Box::new(SafetensorsFile::open(path)?)),
        Some("npz") => Ok(Box::new(NpzFile::open(path)?)),
        Some("gguf") => split::open(path),
        _ if single => Ok(Box::new(PyTorchFile::open(path, options)?)),
        _ => Err(Error::unsupported(
            path,
            Problem::file(
                "the file name says no format that is read here; expected .safetensors, \
                 .safetensors.index.json, .gguf, .pt, .pth, .bin, .ckpt, .jit, .bin.index.json, .npz, or a \
                 folder with model.safetensors or pytorch_model.bin",
            ),
        )),
    }
}
