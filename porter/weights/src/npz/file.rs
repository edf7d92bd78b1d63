//! One `.npz` file, as a checkpoint.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use host_memory::MappedFile;

use super::header::{Element, Header, MAX_HEADER};
use crate::{
    Checkpoint, Encoding, Error, Format, Metadata, TensorInfo, TensorView,
    error::{Problem, Problems},
    pytorch::{
        archive::{Archive, is_archive},
        data::{Data, Signs},
        fault::Fault,
    },
};

/// A mapped `.npz` file, as `numpy.savez` and `numpy.savez_compressed` write it.
///
/// A tensor's name is that of its entry without `.npy`. Arrays of objects, which are pickles, of fields, of
/// texts, of complex numbers and of big-endian ones are listed with
/// [`Encoding::Other`](crate::Encoding::Other) and not read. Arrays in Fortran's order are copied into
/// row-major order.
#[derive(Debug)]
pub struct NpzFile {
    path: PathBuf,
    map: MappedFile,
    tensors: BTreeMap<String, TensorInfo>,
    data: BTreeMap<String, Data>,
    metadata: Metadata,
    notes: Vec<String>,
}

impl NpzFile {
    /// Maps `path`, reads the header of every array and checks it against the size of its entry.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let map = MappedFile::open(path).map_err(|source| Error::open(path, source))?;
        if !is_archive(&map) {
            let what = "does not begin as a zip archive, which a .npz file is".to_owned();
            return Err(Error::corrupt(path, Problem::file(what)));
        }
        let archive = Archive::open(&map).map_err(|fault| error(path, fault, Problem::file))?;
        let (mut tensors, mut data, mut notes) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut problems = Problems::default();
        let mut names: Vec<&str> = archive.names().collect();
        names.sort_unstable();
        for name in names {
            if problems.are_enough() {
                break;
            }
            let Some(array) = name.strip_suffix(".npy") else {
                notes.push(format!("entry {name:?} is no .npy array, and is left out"));
                continue;
            };
            match locate(&archive, name, &map) {
                Ok((info, elements)) => {
                    tensors.insert(array.to_owned(), info);
                    data.insert(array.to_owned(), elements);
                }
                Err(fault) => fault.add_to(&mut problems, |what| Problem::tensor(array, what)),
            }
        }
        problems.finish(path)?;
        drop(archive);
        Ok(Self { path: path.to_owned(), map, tensors, data, metadata: Metadata::default(), notes })
    }
}

fn error(path: &Path, fault: Fault, problem: impl FnOnce(String) -> Problem) -> Error {
    match fault {
        Fault::Corrupt(what) => Error::corrupt(path, problem(what)),
        Fault::Unsupported(what) => Error::unsupported(path, problem(what)),
    }
}

/// The entry and the elements of the array in an entry of the archive.
fn locate(archive: &Archive<'_>, name: &str, map: &[u8]) -> Result<(TensorInfo, Data), Fault> {
    let blob = archive.blob(name)?.ok_or_else(|| "is missing".to_owned())?;
    let header = Header::read(&blob.start(map, MAX_HEADER)?)?;
    let Header { bytes: begin, element, layout } = header;
    let shape = layout.shape();
    let (encoding, element) = match element {
        Element::Read { encoding, bytes } => (encoding, bytes),
        Element::Listed { name, why } => {
            let info = TensorInfo { shape, encoding: Encoding::Other(name), bytes: 0 };
            return Ok((info, Data::Unreadable(format!("is not read: {why}"))));
        }
    };
    let bytes = layout.elements().saturating_mul(element);
    let found = blob.len().saturating_sub(begin);
    if found != bytes {
        return Err(Fault::Corrupt(format!("has {found} bytes of elements; {encoding}{shape} has {bytes}")));
    }
    let range = begin..begin + bytes;
    let data = if layout.is_contiguous() {
        Data::Range(blob, range)
    } else {
        Data::Gather { blob, range, layout, element, signs: Signs::default() }
    };
    Ok((TensorInfo { shape, encoding, bytes }, data))
}

impl Checkpoint for NpzFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        Format::Npz
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let found = self.tensors.get(name).zip(self.data.get(name));
        let (info, data) =
            found.ok_or_else(|| Error::NoTensor { path: self.path.clone(), name: name.to_owned() })?;
        let bytes = data.bytes(&self.map);
        let bytes = bytes.map_err(|fault| error(&self.path, fault, |what| Problem::tensor(name, what)))?;
        Ok(TensorView { info, bytes })
    }

    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let data = self.data.get(name);
        let missing = || Error::NoTensor { path: self.path.clone(), name: name.to_owned() };
        data.ok_or_else(missing)?.read_at(self, &self.map, name, offset, out)
    }

    fn reads_in_place(&self, name: &str) -> bool {
        self.data.get(name).and_then(Data::in_place).is_some()
    }

    fn release(&self, name: &str) {
        if let Some(range) = self.data.get(name).and_then(Data::range) {
            self.map.release(range);
        }
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}
