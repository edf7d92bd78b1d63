//! Fetching a model's files into the cache, each one verified before it gets its name.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::Repository;
use super::cache::RepositoryCache;
use super::listing::{self, FileHash, Listing, RemoteFile};
use super::remote::Remote;
use crate::error::ImportError;
use crate::model_files::JsonFile;
use crate::progress::{Event, Progress};

/// Fetches what is missing and returns the folder of the snapshot.
pub(super) fn fetch(
    remote: &dyn Remote,
    cache: &RepositoryCache,
    repository: &Repository,
    progress: &dyn Progress,
) -> Result<PathBuf, ImportError> {
    let listing = remote.list()?;
    let download = Download { remote, cache, commit: &listing.commit, progress };
    for file in listing.needed(&repository.name)? {
        let path = download.file(file)?;
        if listing::is_index(file) {
            download.shards(&JsonFile::read(&path)?.value, &listing, repository)?;
        }
    }
    cache.remember(repository, &listing.commit)?;
    Ok(cache.snapshot_folder(&listing.commit))
}

struct Download<'a> {
    remote: &'a dyn Remote,
    cache: &'a RepositoryCache,
    commit: &'a str,
    progress: &'a dyn Progress,
}

impl Download<'_> {
    fn shards(
        &self,
        index: &serde_json::Value,
        listing: &Listing,
        repository: &Repository,
    ) -> Result<(), ImportError> {
        for shard in listing::shards(index, listing, &repository.name)? {
            self.file(shard)?;
        }
        Ok(())
    }

    /// Fetches a file, unless its blob is there: a blob gets its name only when it is whole.
    fn file(&self, file: &RemoteFile) -> Result<PathBuf, ImportError> {
        let blob = self.cache.blob(file);
        let present = fs::metadata(&blob).is_ok_and(|found| found.len() == file.size);
        if !present {
            self.blob(file, &blob)?;
        }
        self.cache.link(self.commit, file)
    }

    fn blob(&self, file: &RemoteFile, blob: &Path) -> Result<(), ImportError> {
        let folder = blob.parent().unwrap_or(blob);
        fs::create_dir_all(folder).map_err(ImportError::io("create", folder))?;
        let incomplete = tempfile::Builder::new()
            .prefix(file.hash.text())
            .suffix(".incomplete")
            .tempfile_in(folder)
            .map_err(ImportError::io("create a file in", folder))?;
        let body = self.remote.open(self.commit, file)?;
        self.progress.event(Event::Started { name: &file.name, bytes: file.size });
        let mut writer = Verified::new(incomplete, file, self.progress);
        writer.copy(body)?;
        let verified = writer.finish()?;
        verified.persist(blob).map_err(|error| ImportError::io("create", blob)(error.error))?;
        self.progress.event(Event::Finished);
        Ok(())
    }
}

/// A file being written and hashed.
struct Verified<'a> {
    to: tempfile::NamedTempFile,
    file: &'a RemoteFile,
    progress: &'a dyn Progress,
    hash: Hash,
    bytes: u64,
    start: Vec<u8>,
}

enum Hash {
    Sha256(Sha256),
    Git(Sha1),
}

impl<'a> Verified<'a> {
    fn new(to: tempfile::NamedTempFile, file: &'a RemoteFile, progress: &'a dyn Progress) -> Self {
        let hash = match file.hash {
            FileHash::Sha256(_) => Hash::Sha256(Sha256::new()),
            FileHash::Git(_) => Hash::Git(Sha1::new_with_prefix(format!("blob {}\0", file.size))),
        };
        Self { to, file, progress, hash, bytes: 0, start: Vec::new() }
    }

    /// Takes the whole body, but never more than one buffer beyond the size promised.
    fn copy(&mut self, mut body: Box<dyn Read>) -> Result<(), ImportError> {
        const START: usize = 64;
        let mut buffer = vec![0; 1 << 17];
        while self.bytes <= self.file.size {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ImportError::io("receive", Path::new(&self.file.name))(error)),
            };
            let part = buffer.get(..count).unwrap_or_default();
            match &mut self.hash {
                Hash::Sha256(hash) => hash.update(part),
                Hash::Git(hash) => hash.update(part),
            }
            self.to.write_all(part).map_err(ImportError::io("write", self.to.path()))?;
            self.start.extend(part.iter().take(START.saturating_sub(self.start.len())));
            self.bytes += count as u64;
            self.progress.event(Event::Advanced { bytes: count as u64 });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<tempfile::NamedTempFile, ImportError> {
        if self.bytes != self.file.size {
            let found = if self.bytes > self.file.size { "more".to_owned() } else { self.bytes.to_string() };
            return Err(self.untrusted(format!("{found} bytes arrived, the listing says {}", self.file.size)));
        }
        let found = match std::mem::replace(&mut self.hash, Hash::Git(Sha1::new())) {
            Hash::Sha256(hash) => hex(&hash.finalize()),
            Hash::Git(hash) => hex(&hash.finalize()),
        };
        if found != self.file.hash.text() {
            let expected = self.file.hash.text();
            return Err(self.untrusted(format!("its bytes hash to {found}, the listing says {expected}")));
        }
        self.to.as_file().sync_all().map_err(ImportError::io("write", self.to.path()))?;
        Ok(self.to)
    }

    fn untrusted(&self, mut reason: String) -> ImportError {
        if self.start.trim_ascii_start().starts_with(b"<") {
            reason.push_str("; the server sent a web page instead of the file");
        }
        ImportError::Untrusted { name: self.file.name.clone(), reason }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
