//! The tree of an item: its `_METADATA`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    Error,
    error::{Problem, Problems},
};

/// The name of the file in an item's folder that describes its tree.
pub(crate) const METADATA: &str = "_METADATA";
/// The name of the item that training loops and [`write::orbax`](crate::write::orbax) save.
const ITEM: &str = "items";
/// No tree is larger: it holds a few short lines an array.
const MAX_BYTES: u64 = 100_000_000;

/// The file.
#[derive(Deserialize)]
struct Item {
    #[serde(rename = "tree_metadata")]
    leaves: BTreeMap<String, Leaf>,
    #[serde(default)]
    use_ocdbt: bool,
    #[serde(default)]
    use_zarr3: bool,
}

#[derive(Deserialize)]
struct Leaf {
    #[serde(rename = "key_metadata")]
    keys: Vec<Key>,
    #[serde(default, rename = "value_metadata")]
    value: LeafValue,
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

#[derive(Default, Deserialize)]
struct LeafValue {
    #[serde(default)]
    value_type: String,
}

/// The folder of the item that `folder` is or holds: itself, its `items`, or the `items` of its only
/// step.
pub(crate) fn find_item(folder: &Path) -> Result<Option<PathBuf>, Error> {
    let held = [folder.to_owned(), folder.join(ITEM)];
    if let Some(item) = held.into_iter().find(|item| item.join(METADATA).is_file()) {
        return Ok(Some(item));
    }
    let entries = fs::read_dir(folder).map_err(|source| Error::open(folder, source))?;
    let is_step = |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_digit());
    let mut steps = Vec::new();
    for entry in entries {
        let name = entry.map_err(|source| Error::open(folder, source))?.file_name();
        let item = folder.join(&name).join(ITEM);
        if name.to_str().is_some_and(is_step) && item.join(METADATA).is_file() {
            steps.push(item);
        }
    }
    steps.sort();
    match steps.len() {
        0 | 1 => Ok(steps.pop()),
        count => {
            let what = format!("{count} steps lie in the folder; give the path of one of them");
            Err(Error::unsupported(folder, Problem::file(what)))
        }
    }
}

/// The name of each array of the item in `folder`: its keys with dots between them, which is the name
/// of its own folder too.
pub(crate) fn read(folder: &Path) -> Result<Vec<String>, Error> {
    let path = folder.join(METADATA);
    let item: Item = read_json(&path, MAX_BYTES)?;
    let mut problems = Problems::default();
    if item.use_ocdbt {
        problems.unsupported.push(Problem::field(
            "use_ocdbt",
            "the arrays lie in an OCDBT database, which is not read; restore the checkpoint with \
             orbax-checkpoint and save it with use_ocdbt=False",
        ));
    } else if !item.use_zarr3 {
        problems.unsupported.push(Problem::field(
            "use_zarr3",
            "the arrays are of Zarr version 2, which is not read; save them with use_zarr3=True",
        ));
    }
    let mut names = Vec::new();
    for (path, leaf) in &item.leaves {
        let keys: Vec<&str> = leaf.keys.iter().map(|key| key.key.as_str()).collect();
        // A name with a separator in it could lead out of the folder.
        let plain = |key: &&str| !key.is_empty() && !key.contains(['/', '\\', ':', '\0']);
        if keys.is_empty() || !keys.iter().all(plain) || keys.iter().all(|key| key.starts_with('.')) {
            problems.corrupt.push(Problem::field(path, "its keys are no path inside the folder"));
        } else if matches!(leaf.value.value_type.as_str(), "jax.Array" | "np.ndarray") {
            names.push(keys.join("."));
        } else {
            let what = format!("a {:?} is no array", leaf.value.value_type);
            problems.unsupported.push(Problem::field(path, what));
        }
        if problems.are_enough() {
            break;
        }
    }
    problems.finish(&path)?;
    Ok(names)
}

/// The JSON file at `path`, if it has at most `most` bytes.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path, most: u64) -> Result<T, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::open(path, source))?;
    if !metadata.is_file() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(Error::open(path, source));
    }
    if metadata.len() > most {
        let what = format!("it has {} bytes; at most {most} are read", metadata.len());
        return Err(Error::corrupt(path, Problem::file(what)));
    }
    let bytes = fs::read(path).map_err(|source| Error::open(path, source))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::corrupt(path, Problem::file(error.to_string())))
}
