//! safetensors (<https://github.com/huggingface/safetensors#format>): one file, or shards under an
//! index as `huggingface_hub.split_torch_state_dict_into_shards` lays them out.

use std::collections::{BTreeMap, BTreeSet};

use porter_ir::DType;
use serde_json::{Map, Value, json};

use super::{Layout, OutputFile, OutputTensor, Piece, Unwritable, WriteError, shards::split};
use crate::Encoding;

const FORMAT: &str = "safetensors";
/// The tensor data begins at a multiple of this.
const ALIGNMENT: usize = 8;
/// The crate, and every reader made from it, refuses longer headers.
const MAX_HEADER_BYTES: usize = 100_000_000;

/// How to lay out safetensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SafetensorsOptions {
    /// The name without `.safetensors`: `model`, so that the folder is one of Hugging Face's.
    pub stem: String,
    /// A file holds at most these bytes of tensor data, or one tensor. `None` is one file.
    pub max_shard_bytes: Option<u64>,
    /// The header's `__metadata__`.
    pub metadata: BTreeMap<String, String>,
}

impl Default for SafetensorsOptions {
    fn default() -> Self {
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        Self { stem: "model".to_owned(), max_shard_bytes: None, metadata }
    }
}

/// Lays out `tensors` in name order; those that together exceed the limit go to the next file. All
/// names that are taken twice and all element types that safetensors lacks are reported at once.
pub fn plan(mut tensors: Vec<OutputTensor>, options: &SafetensorsOptions) -> Result<Layout, WriteError> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let sizes = check(&tensors)?;
    let shards = split(&sizes, options.max_shard_bytes);
    let count = shards.len();
    let mut layout = Layout::default();
    let mut weight_map = Map::new();
    for (i, shard) in shards.into_iter().enumerate() {
        let path = match count {
            1 => format!("{}.safetensors", options.stem),
            _ => format!("{}-{:05}-of-{count:05}.safetensors", options.stem, i + 1),
        };
        for &tensor in &shard {
            weight_map.insert(tensors[tensor].name.clone(), path.clone().into());
        }
        layout.files.push(file(path, &shard, &tensors, &sizes, &options.metadata)?);
    }
    if count > 1 {
        let total: usize = sizes.iter().sum();
        let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
        let path = format!("{}.safetensors.index.json", options.stem);
        layout.closing.push(OutputFile::bytes(path, format!("{index:#}\n").into_bytes()));
    }
    layout.tensors = tensors;
    Ok(layout)
}

/// The bytes of every tensor.
fn check(tensors: &[OutputTensor]) -> Result<Vec<usize>, WriteError> {
    let mut names = BTreeSet::new();
    let mut problems = Vec::new();
    let mut sizes = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        if !names.insert(&tensor.name) {
            problems.push(Unwritable::new(&tensor.name, "is the name of two tensors"));
        }
        if tensor.name == "__metadata__" {
            problems.push(Unwritable::new(&tensor.name, "is kept for the metadata"));
        }
        if dtype_name(&tensor.encoding).is_none() {
            problems.push(Unwritable::new(&tensor.name, format!("safetensors has no {}", tensor.encoding)));
        }
        match tensor.bytes() {
            Ok(bytes) => sizes.push(bytes),
            Err(what) => problems.push(Unwritable::new(&tensor.name, what)),
        }
    }
    WriteError::unless_empty(FORMAT, problems)?;
    Ok(sizes)
}

/// One file: the header, then its tensors. Wider elements come first, so that each is aligned.
fn file(
    path: String,
    shard: &[usize],
    tensors: &[OutputTensor],
    sizes: &[usize],
    metadata: &BTreeMap<String, String>,
) -> Result<OutputFile, WriteError> {
    let mut order = shard.to_vec();
    order.sort_by_key(|&i| std::cmp::Reverse(alignment(&tensors[i].encoding)));
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut offset = 0;
    for &i in &order {
        let OutputTensor { name, shape, encoding, .. } = &tensors[i];
        let end = offset + sizes[i];
        let entry = json!({
            "dtype": dtype_name(encoding),
            "shape": shape.to_vec(),
            "data_offsets": [offset, end],
        });
        header.insert(name.clone(), entry);
        offset = end;
    }
    let mut json = Value::Object(header).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(ALIGNMENT), b' ');
    if json.len() > MAX_HEADER_BYTES {
        let what = format!(
            "its header takes {} bytes; at most {MAX_HEADER_BYTES} are read: use smaller shards",
            json.len()
        );
        return Err(WriteError { format: FORMAT, problems: vec![Unwritable::new(path, what)] });
    }
    let header = [&(json.len() as u64).to_le_bytes()[..], &json].concat();
    let elements =
        order.iter().map(|&tensor| Piece::Elements { tensor, range: 0..tensors[tensor].shape.elements() });
    Ok(OutputFile { path, pieces: std::iter::once(Piece::Bytes(header)).chain(elements).collect() })
}

/// Bytes of an element, or of its largest part.
fn alignment(encoding: &Encoding) -> usize {
    match encoding {
        Encoding::Plain(dtype) => dtype.host_bytes(),
        _ => encoding.unit().map_or(1, |unit| unit.bytes.min(ALIGNMENT)),
    }
}

/// safetensors' name of an element type.
fn dtype_name(encoding: &Encoding) -> Option<&'static str> {
    Some(match encoding {
        Encoding::Plain(dtype) => match dtype {
            DType::Bool => "BOOL",
            DType::F4E2M1FN => "F4",
            DType::U8 => "U8",
            DType::I8 => "I8",
            DType::F8E5M2 => "F8_E5M2",
            DType::F8E4M3FN => "F8_E4M3",
            DType::I16 => "I16",
            DType::U16 => "U16",
            DType::F16 => "F16",
            DType::BF16 => "BF16",
            DType::I32 => "I32",
            DType::U32 => "U32",
            DType::F32 => "F32",
            DType::F64 => "F64",
            DType::I64 => "I64",
            DType::U64 => "U64",
            DType::I4 | DType::U4 => return None,
        },
        Encoding::Block(_) => return None,
        Encoding::Other(name) => match name.as_str() {
            "F8_E8M0" | "float8_e8m0fnu" => "F8_E8M0",
            "F8_E4M3FNUZ" | "float8_e4m3fnuz" => "F8_E4M3FNUZ",
            "F8_E5M2FNUZ" | "float8_e5m2fnuz" => "F8_E5M2FNUZ",
            "F6_E2M3" => "F6_E2M3",
            "F6_E3M2" => "F6_E3M2",
            "C64" | "complex64" => "C64",
            _ => return None,
        },
    })
}
