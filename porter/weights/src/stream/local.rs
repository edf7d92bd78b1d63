//! A folder, or one file, on this machine.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::store::{Durable, Lock, Part, Store};

/// What an unfinished file is called.
pub(super) const PART: &str = ".porter-part";
/// Bytes of a system call. Linux takes pages for a file as large as the call lets it, and the largest ones are cold:
/// on a virtual machine the host may have to find them first.
const WRITE_BYTES: usize = 256 << 10;
/// A folder with more files is not listed further.
const MAX_LISTED: usize = 1_000_000;

/// A folder that the conversion has for itself, or a folder in which it writes one file.
#[derive(Clone, Debug)]
pub struct LocalStore {
    folder: PathBuf,
    only: Option<String>,
}

impl LocalStore {
    /// The folder `path`, which is made if it is not there.
    pub fn folder(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self { folder: path.to_owned(), only: None })
    }

    /// The file `path`; what else lies in its folder does not matter.
    pub fn file(path: &Path) -> io::Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "is not the name of a file"))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).to_owned();
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, only: Some(name.to_owned()) })
    }

    /// Where `path` lies. What belongs to a single file and is not it is hidden beside it.
    fn at(&self, path: &str) -> PathBuf {
        match &self.only {
            Some(file) if !path.starts_with(file.as_str()) => self.folder.join(format!(".{file}.{path}")),
            _ => self.folder.join(path),
        }
    }

    fn part(&self, path: &str) -> PathBuf {
        self.at(&format!("{path}{PART}"))
    }
}

impl Store for LocalStore {
    fn name(&self) -> String {
        match &self.only {
            Some(file) => self.folder.join(file).display().to_string(),
            None => self.folder.display().to_string(),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        match &self.only {
            Some(file) => {
                let names = [file.clone(), format!("{file}{PART}")];
                found.extend(names.into_iter().filter(|name| self.at(name).exists()));
            }
            None => list(&self.folder, "", &mut found)?,
        }
        Ok(found)
    }

    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.at(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut part = self.begin(path, 0)?;
        part.write(bytes)?;
        part.finish()
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        for path in [self.at(path), self.part(path)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>> {
        let path = self.at(path);
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Its last holder may have removed it between the two steps.
            if fs::metadata(&path).is_ok_and(|at| file.metadata().is_ok_and(|f| f.ino() == at.ino())) {
                return Ok(Box::new(LockFile { path, _file: file }));
            }
        }
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.at(path))?))
    }

    fn begin(&self, path: &str, keep: u64) -> io::Result<Box<dyn Part>> {
        let (part, place) = (self.part(path), self.at(path));
        if let Some(folder) = part.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&part)?;
        let kept = file.metadata()?.len().min(keep);
        file.set_len(kept)?;
        file.seek(SeekFrom::Start(kept))?;
        Ok(Box::new(LocalPart { file, part, place, kept }))
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let found = rustix::fs::statvfs(&self.folder)?;
        Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
    }
}

fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if found.len() >= MAX_LISTED {
            return Ok(());
        }
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}

/// Removed, and by that freed, at the end.
struct LockFile {
    path: PathBuf,
    _file: File,
}

impl Lock for LockFile {}

impl Drop for LockFile {
    fn drop(&mut self) {
        // A lock file that stays is free all the same.
        let _ = fs::remove_file(&self.path);
    }
}

struct LocalPart {
    file: File,
    part: PathBuf,
    place: PathBuf,
    kept: u64,
}

impl Part for LocalPart {
    fn kept(&self) -> u64 {
        self.kept
    }

    fn read_kept(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&self.part)?.take(self.kept)))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(WRITE_BYTES).try_for_each(|bytes| self.file.write_all(bytes))
    }

    fn durable(&self) -> io::Result<Option<Durable>> {
        let file = self.file.try_clone()?;
        Ok(Some(Box::new(move || file.sync_data())))
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.part, &self.place)?;
        match self.place.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    }
}
