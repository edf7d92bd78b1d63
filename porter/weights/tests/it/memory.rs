//! A checkpoint in memory, to state laws over arbitrary tensors.

use std::{collections::BTreeMap, path::Path};

use porter_ir::DType;
use porter_weights::{Checkpoint, Encoding, Error, Format, Metadata, TensorInfo, TensorView};

/// Tensors held as stored bytes.
#[derive(Default)]
pub(crate) struct Memory {
    tensors: BTreeMap<String, TensorInfo>,
    bytes: BTreeMap<String, Vec<u8>>,
    metadata: Metadata,
}

impl Memory {
    pub(crate) fn insert(&mut self, name: &str, encoding: Encoding, shape: &[usize], bytes: Vec<u8>) {
        let info = TensorInfo { shape: shape.to_vec().into(), encoding, bytes: bytes.len() };
        self.tensors.insert(name.to_owned(), info);
        self.bytes.insert(name.to_owned(), bytes);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.tensors.remove(name);
        self.bytes.remove(name);
    }

    pub(crate) fn insert_f32(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.insert(name, Encoding::Plain(DType::F32), shape, bytes);
    }
}

impl Checkpoint for Memory {
    fn path(&self) -> &Path {
        Path::new("memory")
    }

    fn format(&self) -> Format {
        Format::Safetensors
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        let absent = || Error::NoTensor { path: self.path().to_owned(), name: name.to_owned() };
        Ok(TensorView {
            info: self.tensors.get(name).ok_or_else(absent)?,
            bytes: self.bytes.get(name).ok_or_else(absent)?.into(),
        })
    }

    fn release(&self, _name: &str) {}
}
