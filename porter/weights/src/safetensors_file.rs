//! One safetensors file (<https://github.com/huggingface/safetensors#format>).

use std::{collections::BTreeMap, path::Path};

use porter_ir::DType;
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::Metadata as Header};

use crate::{
    Checkpoint, Encoding, Error, Format, Metadata, TensorInfo, TensorView, Value,
    gguf::Placed,
    mapped::MappedTensors,
    safetensors_header::{check_start, explain},
};

/// The header's length stands before it.
const LENGTH_BYTES: usize = size_of::<u64>();
/// The crate refuses longer headers.
const MAX_HEADER_BYTES: u64 = 100_000_000;

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
        check_start(&tensors.map).map_err(|problem| Error::corrupt(path, problem))?;
        let (header_bytes, header) = SafeTensors::read_metadata(&tensors.map)
            .map_err(|error| explain(path, &tensors.map, tensors.map.len() as u64, &error))?;
        for (name, info, range) in placed(&header, header_bytes + LENGTH_BYTES) {
            tensors.insert(name, info, range);
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

/// The metadata and tensors of a file of `file_bytes` from its first bytes, or how many of those it takes.
pub(crate) fn first_bytes(
    path: &Path,
    first: &[u8],
    file_bytes: u64,
) -> Result<Result<(Metadata, Vec<Placed>), u64>, Error> {
    if (first.len() as u64) < file_bytes.min(LENGTH_BYTES as u64 + 1) {
        return Ok(Err(LENGTH_BYTES as u64 + 1));
    }
    check_start(first).map_err(|problem| Error::corrupt(path, problem))?;
    let refuse = |refusal: SafeTensorError| Err(explain(path, first, file_bytes, &refusal));
    let length = first.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if length > MAX_HEADER_BYTES {
        return refuse(SafeTensorError::HeaderTooLarge);
    }
    let header_end = length + LENGTH_BYTES as u64;
    if header_end > file_bytes {
        return refuse(SafeTensorError::InvalidHeaderLength);
    }
    let Some(json) = first.get(LENGTH_BYTES..header_end as usize) else { return Ok(Err(header_end)) };
    let header: Header = match serde_json::from_slice(json) {
        Ok(header) => header,
        Err(error) => return refuse(SafeTensorError::InvalidHeaderDeserialization(error)),
    };
    if header_end.checked_add(header.data_len() as u64) != Some(file_bytes) {
        return refuse(SafeTensorError::MetadataIncompleteBuffer);
    }
    Ok(Ok((metadata(&header), placed(&header, header_end as usize))))
}

/// Every tensor of a valid header.
fn placed(header: &Header, data_start: usize) -> Vec<Placed> {
    let place = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let (begin, end) = info.data_offsets;
        let (shape, encoding) = (info.shape.clone().into(), encoding(info.dtype));
        (name, TensorInfo { shape, encoding, bytes: end - begin }, data_start + begin..data_start + end)
    };
    header.tensors().into_iter().map(place).collect()
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
