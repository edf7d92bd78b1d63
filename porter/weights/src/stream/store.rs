//! Where the files of a conversion go.

use std::io::{self, Read};

/// A place for files: a folder, or a bucket. Paths are plain components with `/` between them.
pub trait Store: Send + Sync {
    /// What to call the place in messages.
    fn name(&self) -> String;

    /// Every path that is there, unfinished parts and journals included.
    fn list(&self) -> io::Result<Vec<String>>;

    /// A small file's bytes, or `None` if it is not there.
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Writes a small file in one step: it is there as a whole, and durable, or not at all. Replaces
    /// what was there.
    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file, finished or not, if it is there.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Keeps others out for as long as the lock lives; `WouldBlock` if another holds it. The system
    /// frees it when the process ends, however it ends.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Lock>>;

    /// A finished file from its first byte on.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>>;

    /// Begins the file `path`, which is not seen under that name before it is
    /// [finished](Part::finish). At most the first `keep` bytes of an earlier attempt are kept, if the
    /// store can; [`Part::kept`] says how many were.
    fn begin(&self, path: &str, keep: u64) -> io::Result<Box<dyn Part>>;

    /// Bytes that can still be written, if that is known.
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

/// Makes what was appended durable.
pub type Durable = Box<dyn Fn() -> io::Result<()> + Send>;

/// Held while a conversion runs.
pub trait Lock: Send {}

/// A file that is being written.
pub trait Part: Send {
    /// Bytes that an earlier attempt left.
    fn kept(&self) -> u64;

    /// Those bytes.
    fn read_kept(&self) -> io::Result<Box<dyn Read + Send>>;

    /// Appends.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// What makes everything durable that was appended before it is called, from another thread;
    /// `None` where an unfinished file does not outlive the process.
    fn durable(&self) -> io::Result<Option<Durable>>;

    /// Makes the file durable and gives it its name.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
