//! Opening a checkpoint by its path.

use std::{fs, io, path::Path};

use crate::{Checkpoint, Error, GgufFile, SafetensorsFile, ShardedSafetensors, error::Problem};

/// The single-file name in a Hugging Face folder.
const SINGLE: &str = "model.safetensors";
/// The index of a sharded checkpoint in a Hugging Face folder.
const INDEX: &str = "model.safetensors.index.json";

/// Opens a checkpoint: a `.safetensors` file, a `.safetensors.index.json` index, a `.gguf` file, or
/// a folder that holds `model.safetensors` or `model.safetensors.index.json` (the first wins, as in
/// transformers).
pub fn open(path: &Path) -> Result<Box<dyn Checkpoint>, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::open(path, source))?;
    if metadata.is_dir() { open_folder(path) } else { open_file(path) }
}

fn open_folder(folder: &Path) -> Result<Box<dyn Checkpoint>, Error> {
    for name in [SINGLE, INDEX] {
        let file = folder.join(name);
        if file.is_file() {
            return open_file(&file);
        }
    }
    let problem =
        io::Error::new(io::ErrorKind::NotFound, format!("the folder holds neither {SINGLE} nor {INDEX}"));
    Err(Error::open(folder, problem))
}

fn open_file(path: &Path) -> Result<Box<dyn Checkpoint>, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".safetensors.index.json") {
        return Ok(Box::new(ShardedSafetensors::open(path)?));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => Ok(Box::new(SafetensorsFile::open(path)?)),
        Some("gguf") => Ok(Box::new(GgufFile::open(path)?)),
        _ => Err(Error::unsupported(
            path,
            Problem::file(
                "the file name says no format that is read here; expected .safetensors, \
                 .safetensors.index.json, .gguf, or a folder with model.safetensors",
            ),
        )),
    }
}
