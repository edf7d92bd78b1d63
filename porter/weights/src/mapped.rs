//! Tensors as ranges of one mapped file.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use host_memory::MappedFile;

use crate::{Error, TensorInfo, TensorView, error::Problem};

/// A mapped file and where each tensor lies in it.
#[derive(Debug)]
pub(crate) struct MappedTensors {
    pub(crate) path: PathBuf,
    pub(crate) map: MappedFile,
    pub(crate) infos: BTreeMap<String, TensorInfo>,
    ranges: BTreeMap<String, Range<usize>>,
}

impl MappedTensors {
    /// Maps `path`, without tensors yet.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let map = MappedFile::open(path).map_err(|source| Error::open(path, source))?;
        Ok(Self { path: path.to_owned(), map, infos: BTreeMap::new(), ranges: BTreeMap::new() })
    }

    /// Adds a tensor that takes `range` of the file.
    pub(crate) fn insert(&mut self, name: String, info: TensorInfo, range: Range<usize>) {
        self.ranges.insert(name.clone(), range);
        self.infos.insert(name, info);
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let found = self.infos.get(name).zip(self.ranges.get(name));
        let (info, range) =
            found.ok_or_else(|| Error::NoTensor { path: self.path.clone(), name: name.to_owned() })?;
        let bytes = self.map.get(range.clone()).ok_or_else(|| {
            let what = format!("bytes {range:?} lie past the end of the file");
            Error::corrupt(&self.path, Problem::tensor(name, what))
        })?;
        Ok(TensorView { info, bytes: bytes.into() })
    }

    pub(crate) fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let missing = || Error::NoTensor { path: self.path.clone(), name: name.to_owned() };
        let range = self.ranges.get(name).ok_or_else(missing)?;
        read_range(&self.map, range, offset, out).map_err(|source| Error::Read {
            path: self.path.clone(),
            name: name.to_owned(),
            source,
        })
    }

    pub(crate) fn release(&self, name: &str) {
        if let Some(range) = self.ranges.get(name) {
            self.map.release(range.clone());
        }
    }
}

/// Copies the bytes of `range` from its byte `offset` on.
pub(crate) fn read_range(
    file: &MappedFile,
    range: &Range<usize>,
    offset: u64,
    out: &mut [u8],
) -> io::Result<()> {
    let past = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let end = offset.checked_add(out.len() as u64).filter(|&end| end <= range.len() as u64);
    end.ok_or_else(past)?;
    file.read_at(range.start as u64 + offset, out)
}
