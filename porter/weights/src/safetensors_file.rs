//! One safetensors file (<https://github.com/huggingface/safetensors#format>).

use std::{collections::BTreeMap, path::Path};

use porter_ir::DType;
use safetensors::{Dtype, SafeTensors, tensor::Metadata as Header};

use crate::{
    Checkpoint, Encoding, Error, Format, Metadata, TensorInfo, TensorView, Value, mapped::MappedTensors,
    safetensors_header,
};

/// A mapped safetensors file.
#[derive(Debug)]
pub struct SafetensorsFile {
    tensors: MappedTensors,
    metadata: Metadata,
}

impl SafetensorsFile {
    /// Maps `path` and checks its header against its length.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut tensors = MappedTensors::open(path)?;
        safetensors_header::check_start(&tensors.map).map_err(|problem| Error::corrupt(path, problem))?;
        let (header_bytes, header) = SafeTensors::read_metadata(&tensors.map)
            .map_err(|error| safetensors_header::explain(path, &tensors.map, &error))?;
        let data_start = header_bytes + size_of::<u64>();
        for (name, info) in header.tensors() {
            let (begin, end) = info.data_offsets;
            let (shape, encoding) = (info.shape.clone().into(), encoding(info.dtype));
            tensors.insert(
                name,
                TensorInfo { shape, encoding, bytes: end - begin },
                data_start + begin..data_start + end,
            );
        }
        Ok(Self { tensors, metadata: metadata(&header) })
    }
}

impl Checkpoint for SafetensorsFile {
    fn path(&self) -> &Path {
        &self.tensors.path
    }

    fn format(&self) -> Format {
        Format::Safetensors
    }

    fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors.infos
    }

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>, Error> {
        self.tensors.tensor(name)
    }

    fn read_at(&self, name: &str, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        self.tensors.read_at(name, offset, out)
    }

    fn reads_in_place(&self, _name: &str) -> bool {
        true
    }

    fn release(&self, name: &str) {
        self.tensors.release(name);
    }
}

/// The header's `__metadata__`.
fn metadata(header: &Header) -> Metadata {
    let mut metadata = Metadata::default();
    for (key, text) in header.metadata().iter().flatten() {
        metadata.insert(key.clone(), Value::String(text.clone()));
    }
    metadata
}

fn encoding(dtype: Dtype) -> Encoding {
    let plain = match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::F4 => DType::F4E2M1FN,
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::F8_E5M2 => DType::F8E5M2,
        Dtype::F8_E4M3 => DType::F8E4M3FN,
        Dtype::I16 => DType::I16,
        Dtype::U16 => DType::U16,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I32 => DType::I32,
        Dtype::U32 => DType::U32,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::I64 => DType::I64,
        Dtype::U64 => DType::U64,
        other => return Encoding::Other(other.to_string()),
    };
    Encoding::Plain(plain)
}
