//! One PyTorch file, as a checkpoint.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use host_memory::MappedFile;

use super::{
    archive::{Archive, is_archive},
    data::{Data, Identity, locate},
    fault::Fault,
    globals::meaning,
    legacy, packing,
    pickle::{self, Pickle},
    state_dict,
    storages::Storages,
    walk::{Findings, Understood, walk},
};
use crate::{
    Checkpoint, Error, Format, Metadata, OpenOptions, PickleGlobals, PyTorchKind, TensorInfo, TensorView,
    error::{Problem, Problems},
};

/// A mapped PyTorch file. Its pickle is read as data; nothing in it is run.
///
/// A tensor's name is its path through dicts, lists and tuples: `model.layers.0.weight`. A training
/// checkpoint holds more than weights: where a container that holds tensors lies at its top under one
/// of the names `state_dict`, `model_state_dict`, `model_state`, `model`, `module`, `net`, `network`,
/// `weights`, `params`, the first of these in this order is the state dict. Names go on from there, and
/// [`notes`](Checkpoint::notes) say what is left out. (The keys of a plain state dict are whole paths,
/// `model.norm.weight`, and none of these.) [`OpenOptions::prefix`] chooses another path, or the whole
/// file. TorchScript archives are modules and are taken as a whole: every attribute that is a tensor,
/// also those that are neither parameters nor buffers.
///
/// Tensors that are not read as numbers (complex ones) or not at all (quantised, sparse, without
/// elements) are listed with [`Encoding::Other`](crate::Encoding::Other). The numbers and texts beside
/// the tensors are the [`metadata`](Checkpoint::metadata).
#[derive(Debug)]
pub struct PyTorchFile {
    path: PathBuf,
    map: MappedFile,
    kind: PyTorchKind,
    tensors: BTreeMap<String, TensorInfo>,
    data: BTreeMap<String, Data>,
    ties: Vec<Vec<String>>,
    metadata: Metadata,
    notes: Vec<String>,
}

impl PyTorchFile {
    /// Maps `path`, reads its pickle and checks every tensor against its storage.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, Error> {
        let map = MappedFile::open(path).map_err(|source| Error::open(path, source))?;
        let mut file = Self {
            path: path.to_owned(),
            map: MappedFile::default(),
            kind: PyTorchKind::Zip,
            tensors: BTreeMap::new(),
            data: BTreeMap::new(),
            ties: Vec::new(),
            metadata: Metadata::default(),
            notes: Vec::new(),
        };
        if is_archive(&map) {
            file.read_archive(&map, options)?;
        } else if map.starts_with(&[0x80]) {
            file.kind = PyTorchKind::Legacy;
            let (object, storages) = legacy::read(&map).map_err(|fault| file.error(fault, Problem::file))?;
            file.fill(&map, &object, &storages, options)?;
        } else {
            return Err(file.error(packing::unknown(&map), Problem::file));
        }
        file.map = map;
        Ok(file)
    }

    fn error(&self, fault: Fault, problem: impl FnOnce(String) -> Problem) -> Error {
        match fault {
            Fault::Corrupt(what) => Error::corrupt(&self.path, problem(what)),
            Fault::Unsupported(what) => Error::unsupported(&self.path, problem(what)),
        }
    }

    fn read_archive(&mut self, map: &[u8], options: &OpenOptions) -> Result<(), Error> {
        let archive = Archive::open(map).map_err(|fault| self.error(fault, Problem::file))?;
        let folder = packing::folder(&archive).map_err(|fault| self.error(fault, Problem::file))?;
        let entry = |name: &str| format!("{folder}{name}");
        let has = |start: &str| archive.names().any(|name| name.starts_with(&entry(start)));
        if has("constants.pkl") || has("code/") {
            self.kind = PyTorchKind::TorchScript;
        }
        packing::check_byte_order(&archive, &folder, map)
            .map_err(|fault| self.error(fault, |what| Problem::field("byteorder", what)))?;
        let pickle_problem = |what| Problem::field(entry("data.pkl"), what);
        let blob = packing::pickle(&archive, &folder).map_err(|fault| self.error(fault, pickle_problem))?;
        let bytes = blob.bytes(map).map_err(|what| self.error(what.into(), pickle_problem))?;
        let object =
            pickle::read(&bytes, map.len()).map_err(|error| self.error(error.into(), pickle_problem))?;
        self.fill(map, &object, &Storages::Archive(&archive, entry("data/")), options)
    }

    /// Takes over what the pickle holds.
    fn fill(
        &mut self,
        map: &[u8],
        object: &Pickle<'_>,
        storages: &Storages<'_>,
        options: &OpenOptions,
    ) -> Result<(), Error> {
        let understood = Understood {
            lenient: options.pickle_globals == PickleGlobals::Lenient,
            torch_script: self.kind == PyTorchKind::TorchScript,
        };
        self.check_globals(object, understood)?;
        let findings = walk(object, understood).map_err(|fault| self.error(fault, Problem::file))?;
        let prefix = self.choose(&findings, options)?;
        let Findings { tensors, plain, mut problems, opaque } = findings;
        self.metadata = plain;
        self.notes.extend(opaque.into_iter().map(|what| format!("not understood, and not run: {what}")));
        let mut named: BTreeMap<Identity, Vec<String>> = BTreeMap::new();
        for found in tensors {
            let Some(name) = state_dict::strip(&found.name, &prefix) else { continue };
            if problems.are_enough() {
                break;
            }
            match locate(found.tensor, storages, map.len()) {
                Ok((info, data, identity)) => {
                    if self.tensors.insert(name.to_owned(), info).is_some() {
                        problems.corrupt.push(Problem::tensor(name, "is the path of two tensors"));
                    }
                    self.data.insert(name.to_owned(), data);
                    if let Some(identity) = identity {
                        named.entry(identity).or_default().push(name.to_owned());
                    }
                }
                Err(fault) => fault.add_to(&mut problems, |what| Problem::tensor(name, what)),
            }
        }
        self.ties = named.into_values().filter(|names| names.len() > 1).collect();
        problems.finish(&self.path)
    }

    /// Refuses, or notes, every class and function that is not understood, used or not.
    fn check_globals(&mut self, object: &Pickle<'_>, understood: Understood) -> Result<(), Error> {
        let globals = object.globals.iter();
        let unknown =
            globals.filter(|(module, name)| meaning(module, name, understood.torch_script).is_none());
        let names = unknown.map(|(module, name)| format!("{module}.{name}"));
        if understood.lenient {
            self.notes.extend(names.map(|name| format!("the pickle names {name:?}, which is not run")));
            return Ok(());
        }
        let what = "makes neither a tensor nor a plain container, so it is refused and not run; save only the \
                    state dict, or read the tensors around it with --weights-only-lenient";
        let unsupported = names.map(|name| Problem::global(name, what)).collect();
        Problems { corrupt: Vec::new(), unsupported }.finish(&self.path)
    }

    /// The path of the weights.
    fn choose(&mut self, findings: &Findings<'_>, options: &OpenOptions) -> Result<String, Error> {
        let tensors = &findings.tensors;
        let prefix = match &options.prefix {
            Some(prefix) => prefix.trim_matches('.'),
            None if self.kind == PyTorchKind::TorchScript => "",
            None => state_dict::find(tensors),
        };
        let left = tensors.iter().filter(|found| state_dict::strip(&found.name, prefix).is_none()).count();
        if !prefix.is_empty() && left == tensors.len() {
            let (path, prefix) = (self.path.clone(), prefix.to_owned());
            return Err(Error::NoPrefix { path, prefix, found: state_dict::shown(tensors) });
        }
        if !prefix.is_empty() {
            self.notes.push(format!(
                "the state dict is {prefix:?}; {left} tensors beside it are left out, --prefix '' reads all"
            ));
        }
        Ok(prefix.to_owned())
    }
}

impl Checkpoint for PyTorchFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn format(&self) -> Format {
        Format::PyTorch(self.kind)
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
        let bytes =
            data.bytes(&self.map).map_err(|fault| self.error(fault, |what| Problem::tensor(name, what)))?;
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

    fn ties(&self) -> Vec<Vec<String>> {
        self.ties.clone()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}
