//! Models on this machine: a folder or a file.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::ImportError;
use crate::model_files::ModelFiles;

/// Folders of packages are searched this deep.
const MAX_DEPTH: usize = 6;
/// At most this many entries are looked at in a search.
const MAX_ENTRIES: usize = 20_000;

/// The names that transformers writes, in the order in which it looks for them.
pub(crate) const STANDARD: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// PyTorch files.
const PYTORCH: [&str; 5] = [".pt", ".pth", ".ckpt", ".bin", ".jit"];
/// What training leaves beside the weights, by how its names begin.
const NOT_WEIGHTS: [&str; 6] =
    ["optimizer", "scheduler", "scaler", "rng_state", "random_states", "training_args"];

/// Formats that exist but are not read.
const NOT_READ: [&str; 2] = ["pt2", "h5"];

/// The model at a path: a folder, a `.safetensors` file, its `.safetensors.index.json`, a `.gguf` file, or
/// a PyTorch file (`.pt`, `.pth`, `.ckpt`, `.bin`, `.jit`) or its `.bin.index.json`, a `.npz` file, or an
/// `.onnx` file.
pub(crate) fn resolve(path: &Path) -> Result<ModelFiles, ImportError> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ImportError::Missing(path.to_owned()));
        }
        other => other.map_err(ImportError::io("open", path))?,
    };
    if metadata.is_dir() {
        let weights = if is_orbax(path) { path.to_owned() } else { weights_in(path)? };
        let name = name_of(&path.canonicalize().map_err(ImportError::io("open", path))?);
        return ModelFiles::beside(weights, path.to_owned(), name);
    }
    if !is_readable(path) {
        return Err(not_readable(path));
    }
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ModelFiles::beside(path.to_owned(), root.to_owned(), name_of(path))
}

/// The only model somewhere below `root`, as a path for [`resolve`].
pub(crate) fn search(root: &Path, place: &str) -> Result<PathBuf, ImportError> {
    let mut found = Vec::new();
    let mut pytorch = Vec::new();
    let mut looked_at = Vec::new();
    let mut waiting = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let files = entries(&folder)?;
        let candidates = candidates(&files);
        let has_config = files.iter().any(|file| file.ends_with("config.json"));
        for file in &files {
            if file.is_dir() && !file.is_symlink() && depth < MAX_DEPTH {
                waiting.push((file.clone(), depth + 1));
            }
        }
        match candidates.as_slice() {
            [] => {}
            [one] if has_config && !is_gguf(one) && !has_ending(one, ".onnx") => {
                if is_pytorch(one) { &mut pytorch } else { &mut found }.push(folder);
            }
            // A package may hold any number of files that end in .pt or .bin and are no models.
            [one, ..] if is_pytorch(one) => pytorch.extend(candidates.iter().cloned()),
            several => found.extend(several.iter().cloned()),
        }
        looked_at.extend(files);
        if looked_at.len() > MAX_ENTRIES {
            return Err(ImportError::NoModel {
                place: place.to_owned(),
                found: "too many files to search".to_owned(),
            });
        }
    }
    let mut found = if found.is_empty() { pytorch } else { found };
    found.sort();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(ImportError::NoModel { place: place.to_owned(), found: listing(&looked_at, root) }),
        several => {
            let candidates = several.iter().map(|path| relative(path, root)).collect();
            Err(ImportError::Ambiguous { place: place.to_owned(), candidates })
        }
    }
}

/// True for the folder of a checkpoint that Orbax wrote: an item, a step of items, or a folder of steps.
fn is_orbax(folder: &Path) -> bool {
    const TREE: &str = "_METADATA";
    let is_step = |path: &Path| path.join(TREE).is_file() || path.join("items").join(TREE).is_file();
    let is_number = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|c| c.is_ascii_digit()))
    };
    is_step(folder)
        || entries(folder)
            .is_ok_and(|paths| paths.iter().filter(|path| is_number(path)).any(|path| is_step(path)))
}

/// What to open for the weights of a folder.
fn weights_in(folder: &Path) -> Result<PathBuf, ImportError> {
    let files = entries(folder)?;
    let place = folder.display().to_string();
    match candidates(&files).as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(ImportError::NoModel { place, found: listing(&files, folder) }),
        several => {
            let candidates = several.iter().map(|path| path.display().to_string()).collect();
            Err(ImportError::Ambiguous { place, candidates })
        }
    }
}

/// The models among the files of one folder. The first of the standard names stands for all safetensors and PyTorch
/// files, since other files of a model's folder (inputs, recorded outputs, adapters, optimizers) are such files too.
/// Other PyTorch files count where there is nothing else.
fn candidates(files: &[PathBuf]) -> Vec<PathBuf> {
    let files: Vec<&PathBuf> = files.iter().filter(|file| file.is_file()).collect();
    let named = |name: &str| files.iter().find(|file| file.ends_with(name));
    let standard = STANDARD.iter().find_map(|name| named(name));
    let of_kind = |ending: &'static str| files.iter().filter(move |file| has_ending(file, ending));
    let indices: Vec<_> = of_kind(".safetensors.index.json").collect();
    let weights: Vec<_> = match standard {
        Some(standard) => vec![standard],
        None if indices.is_empty() => of_kind(".safetensors").collect(),
        None => indices,
    };
    let found: Vec<PathBuf> =
        weights.into_iter().chain(of_kind(".gguf")).map(|file| (*file).clone()).collect();
    if !found.is_empty() {
        return found;
    }
    let graphs: Vec<PathBuf> = of_kind(".onnx").map(|file| (*file).clone()).collect();
    if !graphs.is_empty() {
        return graphs;
    }
    files.iter().filter(|file| is_pytorch_weights(file)).map(|file| (*file).clone()).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ImportError> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut entries = list().map_err(ImportError::io("list", folder))?;
    entries.sort();
    Ok(entries)
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending))
}

pub(crate) fn is_gguf(path: &Path) -> bool {
    has_ending(path, ".gguf")
}

fn is_pytorch(path: &Path) -> bool {
    PYTORCH.iter().any(|ending| has_ending(path, ending)) || has_ending(path, ".bin.index.json")
}

/// A PyTorch file that is not by its name something else that training leaves.
pub(crate) fn is_pytorch_weights(path: &Path) -> bool {
    is_pytorch(path) && !NOT_WEIGHTS.iter().any(|start| name_of(path).starts_with(start))
}

pub(crate) fn is_readable(path: &Path) -> bool {
    let safetensors = has_ending(path, ".safetensors") || has_ending(path, ".safetensors.index.json");
    safetensors || is_gguf(path) || is_pytorch(path) || has_ending(path, ".npz") || has_ending(path, ".onnx")
}

pub(crate) fn not_readable(path: &Path) -> ImportError {
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
    match extension {
        Some(extension) if NOT_READ.contains(&extension.as_str()) => {
            ImportError::Format { path: path.to_owned(), format: format!(".{extension}") }
        }
        _ => ImportError::Name {
            model: path.display().to_string(),
            reason: "the file is neither .safetensors, .safetensors.index.json, .gguf, .pt, .pth, .ckpt, .bin, .jit, \
                     .bin.index.json, .npz nor .onnx"
                .to_owned(),
        },
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn relative(path: &Path, root: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    if inside.as_os_str().is_empty() { ".".to_owned() } else { inside.display().to_string() }
}

fn listing(files: &[PathBuf], root: &Path) -> String {
    const SHOWN: usize = 12;
    let files: Vec<_> = files.iter().filter(|file| file.is_file()).collect();
    let shown: Vec<String> = files.iter().take(SHOWN).map(|file| relative(file, root)).collect();
    match (files.len(), files.len() > SHOWN) {
        (0, _) => "no files".to_owned(),
        (_, false) => shown.join(", "),
        (count, true) => format!("{} and {} more", shown.join(", "), count - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        folder
    }

    fn chosen(files: &[&str]) -> Result<String, ErrorKind> {
        let folder = folder(files);
        weights_in(folder.path()).map(|path| name_of(&path)).map_err(|error| error.kind())
    }

    #[test]
    fn the_weights_of_a_folder() {
        let single = "model.safetensors";
        let index = "model.safetensors.index.json";
        assert_eq!(chosen(&["config.json", single, "inputs.safetensors"]).unwrap(), single);
        assert_eq!(chosen(&[index, "model-00001-of-00002.safetensors"]).unwrap(), index);
        assert_eq!(chosen(&[single, index]).unwrap(), single);
        assert_eq!(chosen(&["unet.safetensors"]).unwrap(), "unet.safetensors");
        assert_eq!(
            chosen(&["a.safetensors.index.json", "a-1.safetensors"]).unwrap(),
            "a.safetensors.index.json"
        );
        assert_eq!(chosen(&["config.json", "m.gguf"]).unwrap(), "m.gguf");
        assert_eq!(chosen(&["a.gguf", "b.gguf"]), Err(ErrorKind::Usage));
        assert_eq!(chosen(&[single, "b.gguf"]), Err(ErrorKind::Usage));
        assert_eq!(chosen(&["a.safetensors", "b.safetensors"]), Err(ErrorKind::Usage));
        assert_eq!(chosen(&["a.onnx"]).unwrap(), "a.onnx");
        assert_eq!(chosen(&["a.onnx", "model.safetensors"]).unwrap(), "model.safetensors");
        assert_eq!(chosen(&[]), Err(ErrorKind::Unsupported));
    }

    #[test]
    fn pytorch_files_count_by_their_standard_name_or_where_there_is_nothing_else() {
        let (single, index) = ("pytorch_model.bin", "pytorch_model.bin.index.json");
        assert_eq!(chosen(&["config.json", single, "training_args.bin", "x.pt"]).unwrap(), single);
        assert_eq!(chosen(&[index, "pytorch_model-00001-of-00002.bin"]).unwrap(), index);
        assert_eq!(chosen(&[single, "model.safetensors"]).unwrap(), "model.safetensors");
        assert_eq!(chosen(&[single, "inputs.safetensors"]).unwrap(), single);
        assert_eq!(chosen(&[single, "m.gguf"]), Err(ErrorKind::Usage));
        assert_eq!(chosen(&["x.bin", "m.gguf"]).unwrap(), "m.gguf");
        assert_eq!(chosen(&["net.pth", "optimizer.pt", "rng_state_0.pth"]).unwrap(), "net.pth");
        assert_eq!(chosen(&["epoch.ckpt"]).unwrap(), "epoch.ckpt");
        assert_eq!(chosen(&["a.pt", "b.pt"]), Err(ErrorKind::Usage));
    }

    #[test]
    fn files_of_other_formats_are_named() {
        let folder = folder(&["m.pt2", "m.txt"]);
        let error = resolve(&folder.path().join("m.pt2")).unwrap_err();
        assert!(error.to_string().contains("does not read .pt2 files"), "{error}");
        assert_eq!(resolve(&folder.path().join("m.txt")).unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(resolve(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::Usage);
    }

    #[test]
    fn a_search_finds_the_only_model() {
        let found = |files: &[&str]| {
            let folder = folder(files);
            search(folder.path(), "p")
                .map(|path| relative(&path, folder.path()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(found(&["a/x.py", "a/m.Q4_1.gguf"]).unwrap(), "a/m.Q4_1.gguf");
        assert_eq!(
            found(&["a/model/config.json", "a/model/model.safetensors", "a/x.bin"]).unwrap(),
            "a/model"
        );
        assert_eq!(found(&["a/m.gguf", "b/config.json", "b/x.bin", "c/y.pt"]).unwrap(), "a/m.gguf");
        assert_eq!(found(&["a/m.pth", "b/config.json"]).unwrap(), "a/m.pth");
        assert_eq!(found(&["a/pytorch_model.bin", "a/config.json"]).unwrap(), "a");
        let several = found(&["a/1.gguf", "b/config.json", "b/model.safetensors"]).unwrap_err();
        assert_eq!(several, "p holds several models; name one of them: a/1.gguf, b");
        assert!(found(&["a/x.py"]).unwrap_err().contains("it holds a/x.py"));
    }

    #[test]
    fn the_files_beside_the_weights() {
        let folder =
            folder(&["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "m.gguf"]);
        let files = resolve(&folder.path().join("model.safetensors")).unwrap();
        assert!(files.config.is_some() && files.tokenizer.is_some() && files.chat_template.is_some());
        assert!(files.generation_config.is_none());
        let gguf = resolve(&folder.path().join("m.gguf")).unwrap();
        assert!(gguf.config.is_none() && gguf.tokenizer.is_none() && gguf.chat_template.is_none());
        assert_eq!(gguf.name, "m.gguf");
    }
}
