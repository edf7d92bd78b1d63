//! One Zarr version 3 array (<https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html>): its
//! `zarr.json`, and where its chunks lie. What is written is a regular grid of uncompressed chunks, and
//! that is what is read.

use porter_ir::{DType, Shape};
use serde_json::{Value, json};

/// The name of an array's metadata file.
pub(crate) const METADATA: &str = "zarr.json";

/// A regular grid of uncompressed chunks, each of them a file that holds a whole chunk: those at the
/// array's end are filled up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
    /// As many sizes as the shape has, each at least 1.
    pub(crate) chunk: Vec<usize>,
}

impl Grid {
    /// How many chunks there are along each dimension.
    pub(crate) fn counts(&self) -> Vec<usize> {
        self.shape.iter().zip(&self.chunk).map(|(size, chunk)| size.div_ceil(*chunk)).collect()
    }

    /// The bytes of a chunk's file; `None` where they overflow.
    pub(crate) fn chunk_bytes(&self) -> Option<usize> {
        self.chunk.iter().try_fold(self.dtype.host_bytes(), |bytes, size| bytes.checked_mul(*size))
    }

    /// The array's metadata file.
    pub(crate) fn json(&self) -> Option<Value> {
        let fill = match self.dtype {
            DType::Bool => json!(false),
            dtype if dtype.is_float() => json!(0.0),
            _ => json!(0),
        };
        Some(json!({
            "zarr_format": 3,
            "node_type": "array",
            "shape": self.shape.to_vec(),
            "data_type": dtype_name(self.dtype)?,
            "chunk_grid": { "name": "regular", "configuration": { "chunk_shape": self.chunk } },
            "chunk_key_encoding": { "name": "default", "configuration": { "separator": "/" } },
            "fill_value": fill,
            "codecs": [{ "name": "bytes", "configuration": { "endian": "little" } }],
        }))
    }
}

/// The file of the chunk at `index`, in the array's folder.
pub(crate) fn chunk_path(index: &[usize]) -> String {
    index.iter().fold("c".to_owned(), |path, i| format!("{path}/{i}"))
}

/// Every dtype that `TensorStore`'s zarr3 driver has and that takes whole bytes.
const DTYPES: &[(&str, DType)] = &[
    ("bool", DType::Bool),
    ("int8", DType::I8),
    ("int16", DType::I16),
    ("int32", DType::I32),
    ("int64", DType::I64),
    ("uint8", DType::U8),
    ("uint16", DType::U16),
    ("uint32", DType::U32),
    ("uint64", DType::U64),
    ("float8_e4m3fn", DType::F8E4M3FN),
    ("float8_e5m2", DType::F8E5M2),
    ("float16", DType::F16),
    ("bfloat16", DType::BF16),
    ("float32", DType::F32),
    ("float64", DType::F64),
];

/// Zarr's name of a dtype, if it has one.
pub(crate) fn dtype_name(dtype: DType) -> Option<&'static str> {
    DTYPES.iter().find(|(_, known)| *known == dtype).map(|(name, _)| *name)
}

/// The dtype of a `data_type`, if it is known.
pub(crate) fn dtype(name: &str) -> Option<DType> {
    DTYPES.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype)
}
