//! What a name of a graph stands for, and how ONNX's element types map to a program's.

use onnx_protobuf::DataType;
use porter_ir::{DType, Value};

/// What a name of a graph stands for.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// An input or output that is left out.
    Absent,
    /// A tensor of an element type that programs have.
    Tensor(Value),
    /// A tensor of an element type that programs lack, held in another: see [`carrier`].
    Carried(Value, DataType),
    /// A sequence, whose length is known.
    Sequence(Vec<Item>),
    /// An optional without a value.
    Empty,
    /// The result of a node that was not lowered.
    Poisoned,
}

impl From<Value> for Item {
    fn from(value: Value) -> Self {
        Item::Tensor(value)
    }
}

/// The element type of a program for one of ONNX, where there is one.
pub(crate) fn dtype(ty: DataType) -> Option<DType> {
    Some(match ty {
        DataType::Bool => DType::Bool,
        DataType::Int4 => DType::I4,
        DataType::Int8 => DType::I8,
        DataType::Int16 => DType::I16,
        DataType::Int32 => DType::I32,
        DataType::Int64 => DType::I64,
        DataType::Uint4 => DType::U4,
        DataType::Uint8 => DType::U8,
        DataType::Uint16 => DType::U16,
        DataType::Uint32 => DType::U32,
        DataType::Uint64 => DType::U64,
        DataType::Float4E2M1 => DType::F4E2M1FN,
        DataType::Float8E4M3FN => DType::F8E4M3FN,
        DataType::Float8E5M2 => DType::F8E5M2,
        DataType::Bfloat16 => DType::BF16,
        DataType::Float16 => DType::F16,
        DataType::Float => DType::F32,
        DataType::Double => DType::F64,
        _ => return None,
    })
}

/// The element type that holds one which programs lack: the bits of an 8-bit float, the value of a
/// 2-bit integer.
pub(crate) fn carrier(ty: DataType) -> Option<DType> {
    match ty {
        DataType::Float8E4M3FNUZ | DataType::Float8E5M2FNUZ | DataType::Float8E8M0 | DataType::Uint2 => {
            Some(DType::U8)
        }
        DataType::Int2 => Some(DType::I8),
        _ => None,
    }
}

/// ONNX's name of an element type of programs.
pub(crate) fn data_type(ty: DType) -> DataType {
    DataType::ALL.into_iter().find(|&t| dtype(t) == Some(ty)).unwrap_or(DataType::Float)
}
