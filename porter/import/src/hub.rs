//! Models of the Hugging Face hub: `hf:ORG/NAME[@REVISION]`.
//!
//! Files land in Python's cache layout (`models--ORG--NAME/{blobs,refs,snapshots}`), so Porter and `huggingface_hub`
//! share what either has fetched. Only what a model needs is fetched. Without a connection, or with `HF_HUB_OFFLINE`,
//! the cache alone is read.
//!
//! # What is hf-hub's part, and why so little
//! Naming, cache paths and the authorised request for a repository's listing come from hf-hub 0.5 (some 60 crates with its
//! `ureq` client; 1.0 brings 236 crates, an async runtime and a C build of aws-lc). Its download is not used: it takes
//! the server's `ETag` and `X-Repo-Commit` as path components and so writes where the server says, panics on malformed
//! redirects, and checks neither size nor hash (1.0 checks neither as well). Here a listing is checked before anything is
//! written: safe names, hexadecimal hashes; and each file against its size and its SHA-256 (large files) or git hash.

mod cache;
mod fetch;
mod listing;
mod remote;
mod settings;

use crate::error::ImportError;
use crate::folder;
use crate::model_files::ModelFiles;
use crate::progress::{Event, Progress};

pub use settings::HubSettings;

use cache::RepositoryCache;
use remote::HfHub;

/// A repository at a revision.
#[derive(Debug, Clone)]
struct Repository {
    name: String,
    revision: String,
}

/// The model of a repository.
///
/// The repository and revision are expected as [`Source::parse`](crate::Source::parse) accepts them: they become parts
/// of paths and URLs.
pub fn resolve(
    repository: &str,
    revision: &str,
    settings: &HubSettings,
    progress: &dyn Progress,
) -> Result<ModelFiles, ImportError> {
    let repository = Repository { name: repository.to_owned(), revision: revision.to_owned() };
    let cache = RepositoryCache::new(settings, &repository);
    let snapshot = if settings.offline {
        cache.snapshot(&repository)?.ok_or_else(|| offline(&repository, settings, "HF_HUB_OFFLINE is set"))?
    } else {
        match fetch::fetch(&HfHub::new(settings, &repository)?, &cache, &repository, progress) {
            Err(error @ ImportError::Offline { .. }) => match cache.snapshot(&repository)? {
                Some(snapshot) => {
                    progress.event(Event::Note(&format!("{error}; using the copy in the cache")));
                    snapshot
                }
                None => return Err(error),
            },
            fetched => fetched?,
        }
    };
    let files = folder::resolve(&snapshot)?;
    Ok(ModelFiles { name: repository.name, ..files })
}

fn offline(repository: &Repository, settings: &HubSettings, reason: &str) -> ImportError {
    ImportError::Offline {
        place: settings.endpoint.clone(),
        name: format!("{}@{}", repository.name, repository.revision),
        reason: reason.to_owned(),
        advice: "connect once to fetch it, or give the path of a downloaded model",
    }
}
