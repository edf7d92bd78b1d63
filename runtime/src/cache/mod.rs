//! Compiled programs on disk, so that the next start does not compile them again.
//!
//! An entry is written beside its place, flushed and renamed, and carries its length and SHA-256: a
//! process killed at any moment leaves the entries as they were, and a damaged one is seen, removed
//! and compiled again. Several processes may use one folder.

mod entry;
mod key;
mod machine;
mod stored;

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use key::Key;
use stored::Stored;

use crate::{Client, CompileOptions, Error, LoadedExecutable, Result, Signature, folders};

/// The prefix of files that are being written.
const UNFINISHED: &str = ".writing-";

/// An unfinished file this old belongs to a process that was killed.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);

/// A folder of compiled programs, bounded in size; the longest unused go first.
#[derive(Clone, Debug)]
pub struct CompileCache {
    folder: PathBuf,
    limit: u64,
}

/// A program that a [`CompileCache`] provided.
#[derive(Debug)]
pub struct Cached {
    /// The program.
    pub executable: LoadedExecutable,
    /// Where it came from.
    pub outcome: Outcome,
}

/// Where a program of a [`CompileCache`] came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// From the folder.
    Hit,
    /// From the compiler.
    Miss {
        /// Why an entry that was there could not be used; it was removed.
        dropped: Option<String>,
        /// Why the program could not be stored for the next time.
        not_stored: Option<String>,
    },
}

impl CompileCache {
    /// The bound of [`CompileCache::standard`]: 4 GiB.
    pub const STANDARD_LIMIT: u64 = 4 << 30;

    /// The cache in `folder`, of at most `limit` bytes. The folder is made when it is first needed.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        Self { folder: folder.into(), limit }
    }

    /// The user's cache: `executables` in `$PORTER_CACHE_DIR`, or in `porter` in the user's cache
    /// folder (`$XDG_CACHE_HOME` or `~/.cache`).
    pub fn standard() -> Result<Self> {
        Ok(Self::new(folders::cache()?.join("executables"), Self::STANDARD_LIMIT))
    }

    /// The program from the folder, or else compiled and put there.
    ///
    /// Only what [`Client::compile`] would say is an error: a folder that cannot be used makes the
    /// start slower, not impossible, and is told in the outcome.
    pub fn compile(
        &self,
        client: &Client,
        program: &str,
        signature: &Signature,
        options: &CompileOptions,
    ) -> Result<Cached> {
        let key = Key::new(client, program, options)?;
        let load = |bytes: Vec<u8>| Stored::unpack(&bytes)?.load(client, signature);
        let dropped = match self.read(&key).and_then(|bytes| bytes.map(load).transpose()) {
            Ok(Some(executable)) => return Ok(Cached { executable, outcome: Outcome::Hit }),
            Ok(None) => None,
            Err(unusable) => {
                // Compiling replaces the entry; where it cannot be stored, it shall not stay either.
                drop(fs::remove_file(self.place(&key)));
                Some(unusable.to_string())
            }
        };
        let executable = client.compile(program, signature, options)?;
        let stored = Stored::of(&executable).and_then(|stored| self.store(&key, &stored.pack()));
        let outcome = Outcome::Miss { dropped, not_stored: stored.err().map(|e| e.to_string()) };
        Ok(Cached { executable, outcome })
    }

    /// The bytes stored under `key`; an error where they are damaged.
    fn read(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        let place = self.place(key);
        let content = match fs::read(&place) {
            Ok(content) => content,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", place)(e)),
        };
        let bytes = entry::unpack(content).map_err(|e| Error::io("read", &place)(e))?;
        // The time of last use decides what is evicted; an entry of another user stays as it is.
        if let Ok(file) = File::open(&place) {
            drop(file.set_modified(SystemTime::now()));
        }
        Ok(Some(bytes))
    }

    /// Stores `bytes` under `key`, and evicts what exceeds the bound.
    fn store(&self, key: &Key, bytes: &[u8]) -> Result<()> {
        let folder = &self.folder;
        // Entries are run as code: nobody else may write them.
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::io("create", folder))?;
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(folder)
            .map_err(Error::io("write to", folder))?;
        let write = |file: &mut File| {
            file.write_all(&entry::header(bytes))?;
            file.write_all(bytes)?;
            file.sync_data()
        };
        write(file.as_file_mut()).map_err(Error::io("write", file.path()))?;
        let place = self.place(key);
        file.persist(&place).map_err(|e| Error::io("write", &place)(e.error))?;
        self.evict()
    }

    fn place(&self, key: &Key) -> PathBuf {
        self.folder.join(key.to_string())
    }

    /// Removes abandoned files, and the longest unused entries until the rest fits the bound.
    fn evict(&self) -> Result<()> {
        let mut entries = Vec::new();
        for entry in self.folder.read_dir().map_err(Error::io("read", &self.folder))? {
            let entry = entry.map_err(Error::io("read", &self.folder))?;
            // What another process removes meanwhile needs no eviction.
            let Ok(metadata) = entry.metadata() else { continue };
            let Ok(used) = metadata.modified() else { continue };
            if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                entries.push((used, metadata.len(), entry.path()));
            } else if used.elapsed().is_ok_and(|age| age > ABANDONED_AFTER) {
                remove(&entry.path())?;
            }
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in &entries {
            if total <= self.limit {
                break;
            }
            remove(path)?;
            total -= size;
        }
        Ok(())
    }
}

/// Removes a file that another process may have removed already.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        process::{Command, Stdio},
        thread,
        time::Instant,
    };

    use super::*;

    fn age(cache: &CompileCache, key: &Key, by: Duration) {
        let file = File::open(cache.place(key)).unwrap();
        file.set_modified(SystemTime::now() - by).unwrap();
    }

    #[test]
    fn the_longest_unused_entries_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let size = entry::header(&[]).len() as u64 + 100;
        let cache = CompileCache::new(folder.path(), 2 * size);
        let keys = [1, 2, 3].map(Key::of_test);
        for (i, key) in keys.iter().take(2).enumerate() {
            cache.store(key, &[i as u8; 100]).unwrap();
            age(&cache, key, Duration::from_secs(100 - i as u64));
        }
        // Reading the older of the two makes it the younger.
        assert_eq!(cache.read(&keys[0]).unwrap(), Some(vec![0; 100]));
        cache.store(&keys[2], &[2; 100]).unwrap();
        assert_eq!(cache.read(&keys[1]).unwrap(), None);
        assert!(cache.read(&keys[0]).unwrap().is_some() && cache.read(&keys[2]).unwrap().is_some());
    }

    #[test]
    fn abandoned_files_are_removed_and_fresh_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::new(folder.path(), 1 << 20);
        let [old, fresh] = ["old", "fresh"].map(|name| folder.path().join(format!("{UNFINISHED}{name}")));
        let file = File::create(&old).unwrap();
        file.set_modified(SystemTime::now() - 2 * ABANDONED_AFTER).unwrap();
        File::create(&fresh).unwrap();
        cache.store(&Key::of_test(1), b"x").unwrap();
        assert!(!old.exists() && fresh.exists());
    }

    #[test]
    fn a_damaged_entry_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::new(folder.path(), 1 << 20);
        let key = Key::of_test(7);
        cache.store(&key, b"program").unwrap();
        let mut content = fs::read(cache.place(&key)).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(cache.place(&key), content).unwrap();
        assert!(cache.read(&key).is_err());
    }

    const ENTRIES: u8 = 20;
    const FOLDER: &str = "PORTER_TEST_CACHE_FOLDER";

    /// What entry `i` holds: enough to be written in several steps.
    fn content(i: u8) -> Vec<u8> {
        (0..300_000 + usize::from(i)).map(|n| (n * (usize::from(i) + 1)) as u8).collect()
    }

    /// Not a test by itself: the process that `writers_may_be_killed_at_any_moment` kills.
    #[test]
    fn writer() {
        let Some(folder) = env::var_os(FOLDER) else { return };
        let cache = CompileCache::new(folder, 1 << 30);
        for i in (0..ENTRIES).cycle() {
            cache.store(&Key::of_test(i), &content(i)).unwrap();
        }
    }

    #[test]
    fn writers_may_be_killed_at_any_moment() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::new(folder.path(), 1 << 30);
        for round in 0..3 {
            // Two at once, on the same entries.
            let mut writers = [(); 2].map(|()| {
                Command::new(env::current_exe().unwrap())
                    .args(["--exact", "cache::tests::writer"])
                    .env(FOLDER, folder.path())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap()
            });
            let started = Instant::now();
            while folder.path().read_dir().unwrap().next().is_none() {
                assert!(started.elapsed() < Duration::from_mins(1), "no writer wrote anything");
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(Duration::from_millis(67 * (round + 1)));
            for writer in &mut writers {
                // SIGKILL.
                writer.kill().unwrap();
                assert!(!writer.wait().unwrap().success());
            }
            for i in 0..ENTRIES {
                // An error here would be a torn entry.
                let found = cache.read(&Key::of_test(i)).unwrap();
                assert!(found.is_none_or(|bytes| bytes == content(i)), "entry {i} is not what was written");
            }
        }
        assert!((0..ENTRIES).any(|i| cache.read(&Key::of_test(i)).unwrap().is_some()));
    }
}
