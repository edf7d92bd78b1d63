//! Python's cache layout: `models--ORG--NAME/blobs/HASH`, `snapshots/COMMIT/FILE` as links to them, `refs/REVISION`.

use std::fs;
use std::path::{Component, Path, PathBuf};

use hf_hub::{Cache, Repo, RepoType};

use super::listing::{RemoteFile, is_hex};
use super::{HubSettings, Repository};
use crate::error::ImportError;

/// Snapshots are looked through this deep.
const MAX_DEPTH: usize = 6;
/// At most this many files of a snapshot are looked at.
const MAX_FILES: usize = 20_000;

/// The cache of one repository.
pub(super) struct RepositoryCache {
    root: PathBuf,
    locks: PathBuf,
}

impl RepositoryCache {
    pub(super) fn new(settings: &HubSettings, repository: &Repository) -> Self {
        let repo = Repo::new(repository.name.clone(), RepoType::Model);
        let cache = Cache::new(settings.cache.clone());
        let locks = cache.path().join(".locks").join(repo.folder_name());
        Self { root: cache.path().join(repo.folder_name()), locks }
    }

    /// The folder that a revision is in, if it was fetched before: a commit by itself, others through `refs`.
    pub(super) fn snapshot(&self, repository: &Repository) -> Result<Option<PathBuf>, ImportError> {
        let revision = repository.revision.as_str();
        let reference = self.root.join("refs").join(revision);
        let commit = if is_hex(revision, 40) {
            revision.to_owned()
        } else if reference.is_file() {
            fs::read_to_string(&reference).map_err(ImportError::io("read", &reference))?.trim().to_owned()
        } else {
            return Ok(None);
        };
        if !is_hex(&commit, 40) {
            let reason = format!("it holds {commit:?}, which is no commit");
            return Err(ImportError::Untrusted { name: reference.display().to_string(), reason });
        }
        let folder = self.snapshot_folder(&commit);
        Ok(folder.is_dir().then_some(folder))
    }

    pub(super) fn snapshot_folder(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Where the bytes of a file are kept.
    pub(super) fn blob(&self, file: &RemoteFile) -> PathBuf {
        self.root.join("blobs").join(file.hash.text())
    }

    /// What is locked while a blob is written.
    pub(super) fn lock(&self, file: &RemoteFile) -> PathBuf {
        self.locks.join(format!("{}.lock", file.hash.text()))
    }

    /// Whether a file is whole and part of a snapshot.
    pub(super) fn holds(&self, commit: &str, file: &RemoteFile) -> bool {
        let whole = |path: &Path| fs::metadata(path).is_ok_and(|found| found.len() == file.size);
        whole(&self.blob(file)) && whole(&self.snapshot_folder(commit).join(&file.name))
    }

    /// The files of a snapshot, named from its top with `/`; links whose blob is gone are left out.
    pub(super) fn names(snapshot: &Path) -> Result<Vec<String>, ImportError> {
        let mut names = Vec::new();
        let mut waiting = vec![(snapshot.to_owned(), String::new(), 0)];
        while let Some((folder, prefix, depth)) = waiting.pop() {
            for entry in fs::read_dir(&folder).map_err(ImportError::io("list", &folder))? {
                let path = entry.map_err(ImportError::io("list", &folder))?.path();
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                if path.is_file() {
                    names.push(format!("{prefix}{name}"));
                } else if path.is_dir() && !path.is_symlink() && depth < MAX_DEPTH {
                    waiting.push((path.clone(), format!("{prefix}{name}/"), depth + 1));
                }
            }
            if names.len() > MAX_FILES {
                return Err(ImportError::NoModel {
                    place: snapshot.display().to_string(),
                    found: "too many files to search".to_owned(),
                });
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes a fetched file part of a snapshot and returns its path there.
    pub(super) fn link(&self, commit: &str, file: &RemoteFile) -> Result<PathBuf, ImportError> {
        let path = self.snapshot_folder(commit).join(&file.name);
        if path.exists() {
            return Ok(path);
        }
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(ImportError::io("create", folder))?;
        let target = up_from(Path::new(&file.name)).join("blobs").join(file.hash.text());
        match link(&target, &self.blob(file), &path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(ImportError::io("create", &path)(error))
            }
            _ => Ok(path),
        }
    }

    /// Remembers what a branch or tag stood for.
    pub(super) fn remember(&self, repository: &Repository, commit: &str) -> Result<(), ImportError> {
        if repository.revision == commit {
            return Ok(());
        }
        let path = self.root.join("refs").join(&repository.revision);
        let folder = path.parent().unwrap_or(&self.root);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(folder)?;
            let file = tempfile::NamedTempFile::new_in(folder)?;
            fs::write(file.path(), commit)?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(ImportError::io("write", &path))
    }
}

/// The way from a file of a snapshot to the repository's cache.
fn up_from(name: &Path) -> PathBuf {
    let depth = name.components().filter(|part| matches!(part, Component::Normal(_))).count();
    std::iter::repeat_n("..", depth + 1).collect()
}

#[cfg(unix)]
fn link(target: &Path, _: &Path, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

/// Without links, files are copied, as Python does where it may not link.
#[cfg(not(unix))]
fn link(_: &Path, blob: &Path, path: &Path) -> std::io::Result<()> {
    fs::copy(blob, path).map(|_| ())
}
