//! One file of a repository, into the cache: what an earlier run left is continued, and nothing gets its name before it
//! was verified.
//!
//! The part is `blobs/HASH.incomplete`, under the lock `.locks/REPOSITORY/HASH.lock`: the names, and on Unix the kind of
//! lock, that `huggingface_hub` uses, so that the two do not fetch one file at the same time. (Its versions from 2 on keep
//! parts under names of their own, and continue nobody's.)

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::cache::RepositoryCache;
use super::listing::{FileHash, RemoteFile};
use super::remote::{Body, HfHub};
use super::retry::{Failure, Patience, Retry};
use crate::error::ImportError;

/// What a download tells the thread that shows it.
pub(super) enum Told {
    /// Bytes that came or were there.
    Bytes(u64),
    /// Something worth a line.
    Note(String),
}

/// What every file's download shares.
pub(super) struct Download<'a> {
    pub(super) hub: &'a HfHub<'a>,
    pub(super) cache: &'a RepositoryCache,
    pub(super) commit: &'a str,
    pub(super) retry: Retry,
    /// Receives what happens, and says whether to go on.
    pub(super) tell: &'a dyn Fn(Told) -> bool,
}

/// Why a download ended without its file.
pub(super) enum Ended {
    /// Another file's download failed.
    Stopped,
    Failed(ImportError),
}

impl From<ImportError> for Ended {
    fn from(error: ImportError) -> Self {
        Self::Failed(error)
    }
}

impl Download<'_> {
    /// Fetches a file, unless its blob is there, and makes it part of the snapshot.
    pub(super) fn file(&self, file: &RemoteFile) -> Result<PathBuf, Ended> {
        let blob = self.cache.blob(file);
        if !is_whole(&blob, file) {
            let _lock = self.lock(file)?;
            if !is_whole(&blob, file) {
                self.blob(file, &blob)?;
                return Ok(self.cache.link(self.commit, file)?);
            }
        }
        (self.tell)(Told::Bytes(file.size));
        Ok(self.cache.link(self.commit, file)?)
    }

    /// The lock on a blob, once whoever has it is done.
    fn lock(&self, file: &RemoteFile) -> Result<File, ImportError> {
        let path = self.cache.lock(file);
        create_parent(&path)?;
        loop {
            let lock = File::create(&path).map_err(ImportError::io("create", &path))?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let note = format!("waiting for another process that fetches {}", file.name);
                    (self.tell)(Told::Note(note));
                    lock.lock().map_err(ImportError::io("lock", &path))?;
                }
                Err(TryLockError::Error(error)) => return Err(ImportError::io("lock", &path)(error)),
            }
            // Python's filelock removes the file when it lets go, and a lock on a removed file keeps nobody out.
            if is_at(&lock, &path) {
                return Ok(lock);
            }
        }
    }

    fn blob(&self, file: &RemoteFile, blob: &Path) -> Result<(), Ended> {
        let path = blob.with_extension("incomplete");
        create_parent(&path)?;
        let mut part = Part::open(path, file)?;
        let mut shown = self.show(part.bytes, 0)?;
        let mut continued = part.bytes > 0;
        let mut patience = Patience::new(self.retry);
        loop {
            if let Err(failure) = self.receive(&mut part, &mut shown, &mut patience)? {
                part.forget_if_untrusted(patience.wait(failure))?;
                continue;
            }
            match part.verify() {
                Ok(()) => break,
                // What an earlier run left may be of another file, or broken by a crash.
                Err(_) if continued => {
                    part.start_over()?;
                    continued = false;
                }
                Err(error) => part.forget_if_untrusted(Err(error))?,
            }
        }
        part.file.sync_all().map_err(|error| part.not_written(error))?;
        fs::rename(&part.path, blob).map_err(ImportError::io("create", blob))?;
        Ok(())
    }

    /// One request, and all that it brings.
    fn receive(
        &self,
        part: &mut Part<'_>,
        shown: &mut u64,
        patience: &mut Patience,
    ) -> Result<Result<(), Failure>, Ended> {
        if part.bytes == part.of.size {
            return Ok(Ok(()));
        }
        let Body { start, mut bytes } = match self.hub.open(self.commit, part.of, part.bytes) {
            Ok(body) => body,
            Err(failure) => return Ok(Err(failure)),
        };
        if start != part.bytes {
            part.start_over()?;
        }
        let mut buffer = vec![0; 1 << 17];
        loop {
            let count = match bytes.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(part.broken(error))),
            };
            if count == 0 {
                return Ok(part.ended());
            }
            part.append(buffer.get(..count).unwrap_or_default())?;
            if part.bytes > part.of.size {
                let reason = format!("more bytes arrived than the {} that the listing says", part.of.size);
                return Ok(Err(part.untrusted(reason).into()));
            }
            if part.bytes > *shown {
                *shown = self.show(part.bytes, *shown)?;
                patience.renew();
            }
        }
    }

    /// Tells how many of a file's bytes are there, if they are more than were told.
    fn show(&self, bytes: u64, shown: u64) -> Result<u64, Ended> {
        if (self.tell)(Told::Bytes(bytes.saturating_sub(shown))) {
            Ok(bytes.max(shown))
        } else {
            Err(Ended::Stopped)
        }
    }
}

/// A blob gets its name only when it is whole; its size shows one that was cut later.
fn is_whole(blob: &Path, file: &RemoteFile) -> bool {
    fs::metadata(blob).is_ok_and(|found| found.is_file() && found.len() == file.size)
}

/// Whether an open file is still the one at its path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same =
        |found: fs::Metadata, open: fs::Metadata| found.ino() == open.ino() && found.dev() == open.dev();
    fs::metadata(path).is_ok_and(|found| file.metadata().is_ok_and(|open| same(found, open)))
}

/// Elsewhere an open file is not removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn create_parent(path: &Path) -> Result<(), ImportError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(ImportError::io("create", folder))
}

/// The bytes of a file so far, and their hash.
struct Part<'a> {
    path: PathBuf,
    file: File,
    of: &'a RemoteFile,
    hash: Hash,
    bytes: u64,
    /// The first bytes, which tell a web page.
    start: Vec<u8>,
}

#[derive(Clone)]
enum Hash {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hash {
    fn of(file: &RemoteFile) -> Self {
        match file.hash {
            FileHash::Sha256(_) => Hash::Sha256(Sha256::new()),
            FileHash::Git(_) => Hash::Git(Sha1::new_with_prefix(format!("blob {}\0", file.size))),
        }
    }

    fn text(&self) -> String {
        match self.clone() {
            Hash::Sha256(hash) => hex::encode(hash.finalize()),
            Hash::Git(hash) => hex::encode(hash.finalize()),
        }
    }
}

impl<'a> Part<'a> {
    /// What is there already is hashed; what cannot be the beginning of the file is dropped.
    fn open(path: PathBuf, of: &'a RemoteFile) -> Result<Self, ImportError> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = file.map_err(ImportError::io("create", &path))?;
        let mut part = Self { path, file, of, hash: Hash::of(of), bytes: 0, start: Vec::new() };
        let length = part.file.metadata().map_err(ImportError::io("read", &part.path))?.len();
        if length > of.size {
            part.start_over()?;
        } else if length > 0 {
            part.read_back()?;
        }
        Ok(part)
    }

    fn read_back(&mut self) -> Result<(), ImportError> {
        let mut buffer = vec![0; 1 << 17];
        loop {
            let count = self.file.read(&mut buffer).map_err(ImportError::io("read", &self.path))?;
            if count == 0 {
                return Ok(());
            }
            self.count(buffer.get(..count).unwrap_or_default());
        }
    }

    fn count(&mut self, bytes: &[u8]) {
        const START: usize = 64;
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(bytes),
            Hash::Git(hash) => hash.update(bytes),
        }
        self.start.extend(bytes.iter().take(START.saturating_sub(self.start.len())));
        self.bytes += bytes.len() as u64;
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.file.write_all(bytes).map_err(|error| self.not_written(error))?;
        self.count(bytes);
        Ok(())
    }

    fn start_over(&mut self) -> Result<(), ImportError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(ImportError::io("empty", &self.path))?;
        self.hash = Hash::of(self.of);
        self.bytes = 0;
        self.start.clear();
        Ok(())
    }

    /// The body ended as its sender meant it to.
    fn ended(&self) -> Result<(), Failure> {
        if self.bytes == self.of.size {
            return Ok(());
        }
        let reason = format!("{} bytes arrived, the listing says {}", self.bytes, self.of.size);
        Err(Failure::Passing { error: self.untrusted(reason), after: None })
    }

    /// The connection broke.
    fn broken(&self, error: io::Error) -> Failure {
        Failure::Passing { error: ImportError::io("receive", Path::new(&self.of.name))(error), after: None }
    }

    fn verify(&self) -> Result<(), ImportError> {
        let (found, expected) = (self.hash.text(), self.of.hash.text());
        if found == expected {
            return Ok(());
        }
        Err(self.untrusted(format!("its bytes hash to {found}, the listing says {expected}")))
    }

    fn untrusted(&self, mut reason: String) -> ImportError {
        if self.start.trim_ascii_start().starts_with(b"<") {
            reason.push_str("; the server sent a web page instead of the file");
        }
        ImportError::Untrusted { name: self.of.name.clone(), reason }
    }

    /// Bytes that were not promised are not continued.
    fn forget_if_untrusted(&self, result: Result<(), ImportError>) -> Result<(), ImportError> {
        if let Err(ImportError::Untrusted { .. }) = result {
            fs::remove_file(&self.path).map_err(ImportError::io("remove", &self.path))?;
        }
        result
    }

    fn not_written(&self, error: io::Error) -> ImportError {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ImportError::DiskFull {
                path: self.path.clone(),
                needed: self.of.size.saturating_sub(self.bytes),
                variable: "HF_HUB_CACHE",
            },
            _ => ImportError::io("write", &self.path)(error),
        }
    }
}
