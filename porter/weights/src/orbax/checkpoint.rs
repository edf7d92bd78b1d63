//! An item of an Orbax checkpoint as a [`Checkpoint`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{array::Array, tree};
use crate::{
    Checkpoint, Encoding, Error, ErrorKind, Format, Metadata, TensorInfo, TensorView,
    error::{Problem, Problems},
};

/// An Orbax checkpoint of uncompressed Zarr 3 arrays. A tensor's name is its keys in the tree with dots
/// between them: `params.params.decoder.decoder_norm.scale`.
pub struct OrbaxCheckpoint {
    path: PathBuf,
    arrays: BTreeMap<String, Array>,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: Metadata,
}

impl OrbaxCheckpoint {
    /// True if the folder at `path` is or holds an Orbax item, whether it can be read or not.
    pub fn is_one(path: &Path) -> bool {
        !matches!(tree::find_item(path), Ok(None))
    }

    /// Opens the folder at `path`: an item, a step with an `items`, or a checkpoint folder with one
    /// step. Every array's metadata is read, and every chunk's file looked up. What is compressed, in an
    /// OCDBT database, or of Zarr version 2 is refused, all of it at once.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let Some(item) = tree::find_item(path)? else {
            let what = format!("neither the folder nor a step in it holds a {}", tree::METADATA);
            return Err(Error::open(path, std::io::Error::new(std::io::ErrorKind::NotFound, what)));
        };
        let mut arrays = BTreeMap::new();
        let mut problems = Problems::default();
        for name in tree::read(&item)? {
            match Array::open(item.join(&name)) {
                Ok(array) => drop(arrays.insert(name, array)),
                Err(error) => {
                    let unsupported = error.kind() == ErrorKind::Unsupported;
                    let list = if unsupported { &mut problems.unsupported } else { &mut problems.corrupt };
                    list.push(Problem::tensor(name, error.to_string()));
                }
            }
            if problems.are_enough() {
                break;
            }
        }
        problems.finish(path)?;
        let info = |array: &Array| TensorInfo {
            shape: array.grid.shape.clone(),
            encoding: Encoding::Plain(array.grid.dtype),
            bytes: array.bytes(),
        };
        let tensors = arrays.iter().map(|(name, array)| (name.clone(), info(array))).collect();
        Ok(Self { path: path.to_owned(), arrays, tensors, metadata: Metadata::default() })
    }

    fn array(&self, name: &str) -> Result<&Array, Error> {
        let missing = || Error::NoTensor { path: self.path.clone(), name: name.to_owned() };
        self.arrays.get(name).ok_or_else(missing)
    }
}

impl Checkpoint for OrbaxCheckpoint {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        Format::Orbax
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let info = self
            .tensors
            .get(name)
            .ok_or_else(|| Error::NoTensor { path: self.path.clone(), name: name.to_owned() })?;
        let mut bytes = vec![0; info.bytes];
        self.read_at(name, 0, &mut bytes)?;
        Ok(TensorView { info, bytes: bytes.into() })
    }

    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let array = self.array(name)?;
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        if begin.checked_add(out.len()).is_none_or(|end| end > array.bytes()) {
            let what = format!("{} bytes at {offset} were asked for; it has {}", out.len(), array.bytes());
            return Err(Error::corrupt(&self.path, Problem::tensor(name, what)));
        }
        array.read_at(begin, out).map_err(|source| Error::Read {
            path: self.path.clone(),
            name: name.to_owned(),
            source,
        })
    }

    fn reads_in_place(&self, _name: &str) -> bool {
        true
    }

    /// Nothing is kept.
    fn release(&self, _name: &str) {}
}
