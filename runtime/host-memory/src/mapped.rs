//! A file as bytes, without reading it.
#![allow(unsafe_code)]

use std::{fs::File, io, ops::Deref, ops::Range, os::unix::fs::FileExt, path::Path};

use memmap2::{Mmap, UncheckedAdvice};

/// A read-only map of a whole file. Dereferences to its bytes. The default is that of an empty file.
#[derive(Default)]
pub struct MappedFile {
    map: Option<(Mmap, File)>,
}

impl MappedFile {
    /// Maps the file at `path`. An empty file is an empty map.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if metadata.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the map is private and read-only. Bytes may change, or reads may fault, only if
        // another process writes to or truncates the file while it is mapped; checkpoints are
        // written once, and every reader of untrusted bytes validates what it copies out, so a
        // changed byte is a wrong number, never an out-of-bounds access.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { map: Some((map, file)) })
    }

    /// Copies the bytes from `offset` on into `out`, by reading the file and not its map: nothing
    /// counts as this process's memory but `out`, and a file that was cut short is an error of the
    /// kind [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match &self.map {
            Some((_, file)) => file.read_exact_at(out, offset),
            None if out.is_empty() => Ok(()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Tells the system that `range` will not be read again soon, so that its pages stop counting
    /// as this process's memory. A later read brings them back from the file.
    pub fn release(&self, range: Range<usize>) {
        let Some((map, _)) = &self.map else { return };
        if range.start >= range.end || range.end > map.len() {
            return;
        }
        // SAFETY: MADV_DONTNEED on a read-only file map drops clean pages only; their content is
        // the file's, so a later access reads the same bytes again.
        let advised =
            unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
        // Advice is only a hint; a system that refuses it keeps the pages, which is still correct.
        drop(advised);
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_ref().map_or(&[], |(map, _)| map)
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MappedFile({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_pages_read_the_same_again() {
        let map = MappedFile::open(Path::new("src/mapped.rs")).unwrap();
        let before = map.to_vec();
        map.release(0..map.len());
        assert_eq!(&*map, &before[..]);
    }

    #[test]
    fn a_folder_is_an_error() {
        assert!(MappedFile::open(Path::new("src")).is_err());
    }
}
