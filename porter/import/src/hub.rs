//! Models of the Hugging Face hub: `hf:ORG/NAME[@REVISION][//PATH]`.
//!
//! Files land in Python's cache layout (`models--ORG--NAME/{blobs,refs,snapshots}`, `.locks`), so Porter and
//! `huggingface_hub` share what either has fetched, and wait for each other. Only what a model needs is fetched, four
//! files at a time. Without a connection, or with `HF_HUB_OFFLINE`, the cache alone is read.
//!
//! # What is hf-hub's part, and why so little
//! Naming, cache paths and the authorised request for a repository's listing come from hf-hub 0.5; its download is not
//! used (docs/decisions/0009). Here a listing is checked before anything is written: safe names, hexadecimal hashes; and
//! each file against its size and its SHA-256 (large files) or git hash.

mod blob;
mod cache;
mod fetch;
mod listing;
mod remote;
mod retry;
mod settings;

use std::path::{Path, PathBuf};

use crate::choice::{Asked, choose};
use crate::error::ImportError;
use crate::model_files::{JsonFile, ModelFiles};
use crate::progress::{Event, Progress};

pub use retry::Retry;
pub use settings::HubSettings;

use cache::RepositoryCache;

/// A repository at a revision.
#[derive(Debug, Clone)]
struct Repository {
    name: String,
    revision: String,
}

/// A model in the cache.
struct Found {
    /// The folder of the snapshot.
    root: PathBuf,
    weights: PathBuf,
}

/// The model of a repository, or what `path` names of it: a file, or a folder that holds the model.
///
/// All three are expected as [`Source::parse`](crate::Source::parse) accepts them: they become parts of paths and URLs.
pub fn resolve(
    repository: &str,
    revision: &str,
    path: Option<&Path>,
    settings: &HubSettings,
    progress: &dyn Progress,
) -> Result<ModelFiles, ImportError> {
    let repository = Repository { name: repository.to_owned(), revision: revision.to_owned() };
    let path = path.map(|path| path.to_string_lossy());
    let place = match revision {
        "main" => format!("hf:{}", repository.name),
        _ => format!("hf:{}@{revision}", repository.name),
    };
    let asked = Asked { place: &place, separator: "//", path: path.as_deref() };
    let cache = RepositoryCache::new(settings, &repository);
    let found = if settings.offline {
        let found = cached(&cache, &repository, asked)?;
        found.ok_or_else(|| offline(&repository, settings, "HF_HUB_OFFLINE is set"))?
    } else {
        match fetch::fetch(settings, &cache, &repository, asked, progress) {
            Err(error @ ImportError::Offline { .. }) => match cached(&cache, &repository, asked) {
                Ok(Some(found)) => {
                    progress.event(Event::Note(&format!("{error}; using the copy in the cache")));
                    found
                }
                _ => return Err(error),
            },
            fetched => fetched?,
        }
    };
    let folder = found.weights.parent().unwrap_or(&found.root).to_owned();
    let name = path.map_or_else(|| repository.name.clone(), |path| format!("{}//{path}", repository.name));
    ModelFiles::beside(found.weights, folder, name)
}

/// The model as the cache has it, if its revision was fetched before; that some of it is missing is an error.
fn cached(
    cache: &RepositoryCache,
    repository: &Repository,
    asked: Asked<'_>,
) -> Result<Option<Found>, ImportError> {
    let Some(root) = cache.snapshot(repository)? else { return Ok(None) };
    let names = RepositoryCache::names(&root)?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let choice = choose(&names, asked)?;
    let weights = root.join(choice.weights);
    if listing::is_index(choice.weights) {
        let shards = listing::shards(&JsonFile::read(&weights)?, choice.weights)?;
        let missing: Vec<&str> =
            shards.iter().map(String::as_str).filter(|shard| !names.contains(shard)).collect();
        if !missing.is_empty() {
            return Err(ImportError::NotFound {
                place: format!("the cached copy {}", root.display()),
                name: missing.join(", "),
                reason: "it was fetched in part; connect once, without HF_HUB_OFFLINE, to fetch the rest"
                    .to_owned(),
            });
        }
    }
    Ok(Some(Found { root, weights }))
}

fn offline(repository: &Repository, settings: &HubSettings, reason: &str) -> ImportError {
    ImportError::Offline {
        place: settings.endpoint.clone(),
        name: format!("{}@{}", repository.name, repository.revision),
        reason: reason.to_owned(),
        advice: "connect once to fetch it, or give the path of a downloaded model",
    }
}
