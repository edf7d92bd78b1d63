//! Tensors of inputs and results as safetensors.

use std::{collections::BTreeMap, fs, path::Path};

use porter_ir::{DType, TensorType};
use porter_onnx::Recorded;
use porter_runtime::HostTensor;
use porter_weights::Encoding;
use safetensors::{Dtype, tensor::TensorView};

use crate::PipelineError;

/// Every tensor of a checkpoint file.
pub fn read_tensors(path: &Path) -> Result<Vec<Recorded>, PipelineError> {
    let file = porter_weights::open(path)?;
    let mut tensors = Vec::new();
    let mut problems = Vec::new();
    for (name, info) in file.tensors() {
        match info.encoding {
            Encoding::Plain(dtype) if dtype.bits() >= 8 => tensors.push(Recorded {
                name: name.clone(),
                ty: TensorType::new(dtype, info.shape.clone()),
                bytes: file.tensor(name)?.bytes.into_owned(),
            }),
            _ => problems.push(format!("{name} is {}: whole bytes an element are expected", info.encoding)),
        }
    }
    if problems.is_empty() { Ok(tensors) } else { Err(PipelineError::Usage(problems.join("\n"))) }
}

/// Writes tensors beside `path` and renames them there.
pub fn write_tensors(path: &Path, tensors: &BTreeMap<String, HostTensor>) -> Result<(), PipelineError> {
    let views = tensors.iter().map(|(name, tensor)| {
        let ty = tensor.ty();
        TensorView::new(stored(ty.dtype), ty.shape.to_vec(), tensor.bytes()).map(|view| (name, view))
    });
    let failed = |source| PipelineError::File { doing: "write", path: path.to_owned(), source };
    let bytes = views
        .collect::<Result<Vec<_>, _>>()
        .and_then(|views| safetensors::serialize(views, None))
        .map_err(|e| failed(std::io::Error::other(e)))?;
    let beside = path.with_extension("safetensors.partial");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).map_err(failed)
}

/// The type of a tensor in host memory, where 4-bit elements take a byte each.
fn stored(dtype: DType) -> Dtype {
    match dtype {
        DType::Bool => Dtype::BOOL,
        DType::I4 | DType::I8 => Dtype::I8,
        DType::U4 | DType::U8 | DType::F4E2M1FN => Dtype::U8,
        DType::I16 => Dtype::I16,
        DType::U16 => Dtype::U16,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::I64 => Dtype::I64,
        DType::U64 => Dtype::U64,
        DType::F8E4M3FN => Dtype::F8_E4M3,
        DType::F8E5M2 => Dtype::F8_E5M2,
        DType::BF16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
    }
}
