//! Models in buckets: `s3://BUCKET[/KEY]`, `gs://BUCKET[/KEY]`.
//!
//! The weights stay where they are: they are read by ranges, with `porter_remote::open`. The small files beside them come
//! into Porter's cache, in a folder for their URLs and `ETag`s, so that a changed one is fetched again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use porter_remote::{Bucket, Object, RemoteUrl};
use sha2::{Digest, Sha256};

use crate::cache;
use crate::choice::{Asked, choose};
use crate::error::ImportError;
use crate::folder;
use crate::model_files::ModelFiles;
use crate::progress::{Event, Progress};

/// Objects under a prefix that are looked at.
const MAX_OBJECTS: usize = 20_000;
/// A vocabulary has some ten MB.
const MAX_SMALL_BYTES: u64 = 256 << 20;

/// The model at a URL: a file of weights, or the model that lies under a prefix.
pub fn resolve(url: &str, progress: &dyn Progress) -> Result<ModelFiles, ImportError> {
    let url = RemoteUrl::parse(url)?;
    resolve_in(&Arc::new(Bucket::open(&url)?), &url, &cache::folder()?.join("remote"), progress)
}

/// The same in a bucket that is open, with the small files below `cache`.
pub fn resolve_in(
    bucket: &Arc<Bucket>,
    url: &RemoteUrl,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<ModelFiles, ImportError> {
    let under = bucket.list(url, MAX_OBJECTS)?;
    // Nothing lies under a file.
    let (root, named) =
        if under.is_empty() { (url.parent(), Some(url.file_name())) } else { (url.clone(), None) };
    let objects = if under.is_empty() { bucket.list(&root, MAX_OBJECTS)? } else { under };
    let names: Vec<&str> = objects.iter().filter_map(|object| below(&root, object)).collect();
    let place = root.to_string();
    let choice = choose(&names, Asked { place: &place, separator: "/", path: named })?;
    // Further parts of the weights stay where they are too.
    let is_beside = |name: &str| choice.others.contains(&name) && !folder::is_readable(Path::new(name));
    let beside = objects.iter().filter(|object| below(&root, object).is_some_and(is_beside));
    let beside: Vec<&Object> = beside.collect();
    let folder = fetch(bucket, &beside, cache, progress)?;
    let weights = root.join(choice.weights)?;
    let name = url.to_string();
    ModelFiles::beside(PathBuf::from(weights.to_string()), folder, name)
}

/// An object's key below a prefix.
fn below<'a>(root: &RemoteUrl, object: &'a Object) -> Option<&'a str> {
    let key = object.url.key();
    if root.key().is_empty() { Some(key) } else { key.strip_prefix(root.key())?.strip_prefix('/') }
}

/// The folder that holds these objects by their file names, fetched if they are not there.
fn fetch(
    bucket: &Bucket,
    objects: &[&Object],
    cache: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ImportError> {
    let mut hash = Sha256::new();
    for object in objects {
        hash.update(format!("{}\n{}\n", object.url, object.etag));
    }
    let key: String =
        hash.finalize().iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]).filter_map(digit).collect();
    let folder = cache.join(key);
    if folder.is_dir() {
        return Ok(folder);
    }
    fs::create_dir_all(cache).map_err(ImportError::io("create", cache))?;
    let partial = tempfile::tempdir_in(cache).map_err(ImportError::io("create a folder in", cache))?;
    for object in objects {
        progress.event(Event::Started { name: &object.url.to_string(), bytes: object.bytes });
        let path = partial.path().join(object.url.file_name());
        fs::write(&path, bucket.small(object, MAX_SMALL_BYTES)?).map_err(ImportError::io("write", &path))?;
        progress.event(Event::Advanced { bytes: object.bytes });
        progress.event(Event::Finished);
    }
    match fs::rename(partial.path(), &folder) {
        // Another process was first; what it has is the same.
        Err(_) if folder.is_dir() => {}
        renamed => {
            renamed.map_err(ImportError::io("create", &folder))?;
            // It is not there any more under its old name.
            let _ = partial.keep();
        }
    }
    Ok(folder)
}

fn digit(value: u8) -> Option<char> {
    char::from_digit(value.into(), 16)
}
