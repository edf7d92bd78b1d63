//! PyTorch's element types (`c10/core/ScalarType.h`, `torch/storage.py`).

use porter_ir::DType;

use crate::Encoding;

/// An element type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) encoding: Encoding,
    pub(super) bytes: usize,
    /// Elements are pairs of a real and an imaginary part.
    pub(super) complex: bool,
}

impl Element {
    fn plain(dtype: DType) -> Self {
        Self { encoding: Encoding::Plain(dtype), bytes: dtype.host_bytes(), complex: false }
    }

    /// An element type that is listed and not read as numbers.
    pub(super) fn other(name: impl Into<String>, bytes: usize) -> Self {
        Self { encoding: Encoding::Other(name.into()), bytes, complex: false }
    }

    /// The type that `torch.NAME` is.
    pub(super) fn of_dtype(name: &str) -> Option<Self> {
        Some(match name {
            "float32" | "float" => Self::plain(DType::F32),
            "float64" | "double" => Self::plain(DType::F64),
            "float16" | "half" => Self::plain(DType::F16),
            "bfloat16" => Self::plain(DType::BF16),
            "float8_e4m3fn" => Self::plain(DType::F8E4M3FN),
            "float8_e5m2" => Self::plain(DType::F8E5M2),
            "int64" | "long" => Self::plain(DType::I64),
            "int32" | "int" => Self::plain(DType::I32),
            "int16" | "short" => Self::plain(DType::I16),
            "int8" => Self::plain(DType::I8),
            "uint64" => Self::plain(DType::U64),
            "uint32" => Self::plain(DType::U32),
            "uint16" => Self::plain(DType::U16),
            "uint8" => Self::plain(DType::U8),
            "bool" => Self::plain(DType::Bool),
            "complex32" | "chalf" => Self { complex: true, ..Self::other("complex32", 4) },
            "complex64" | "cfloat" => Self { complex: true, ..Self::other("complex64", 8) },
            "complex128" | "cdouble" => Self { complex: true, ..Self::other("complex128", 16) },
            "qint32" => Self::other(name, 4),
            "float8_e4m3fnuz" | "float8_e5m2fnuz" | "float8_e8m0fnu" | "float4_e2m1fn_x2" | "qint8"
            | "quint8" | "quint4x2" | "quint2x4" | "bits1x8" | "bits2x4" | "bits4x2" | "bits8" | "int1"
            | "int2" | "int3" | "int4" | "int5" | "int6" | "int7" | "uint1" | "uint2" | "uint3" | "uint4"
            | "uint5" | "uint6" | "uint7" => Self::other(name, 1),
            "bits16" => Self::other(name, 2),
            _ => return None,
        })
    }

    /// The type of the elements of a `torch.NAME` storage. Untyped storages are bytes.
    pub(super) fn of_storage(name: &str) -> Option<Self> {
        let dtype = match name {
            "FloatStorage" => "float32",
            "DoubleStorage" => "float64",
            "HalfStorage" => "float16",
            "BFloat16Storage" => "bfloat16",
            "LongStorage" => "int64",
            "IntStorage" => "int32",
            "ShortStorage" => "int16",
            "CharStorage" => "int8",
            "ByteStorage" | "UntypedStorage" => "uint8",
            "BoolStorage" => "bool",
            "ComplexFloatStorage" => "complex64",
            "ComplexDoubleStorage" => "complex128",
            "QInt8Storage" => "qint8",
            "QUInt8Storage" => "quint8",
            "QInt32Storage" => "qint32",
            "QUInt4x2Storage" => "quint4x2",
            "QUInt2x4Storage" => "quint2x4",
            _ => return None,
        };
        Self::of_dtype(dtype)
    }

    /// The type that NumPy writes as `order` and `name`: `<` and `f4`. Another order than little
    /// endian is no number here.
    pub(super) fn of_numpy(order: &str, name: &str) -> Option<Self> {
        let one_byte = matches!(name, "b1" | "i1" | "u1");
        let dtype = match name {
            "f2" => "float16",
            "f4" => "float32",
            "f8" => "float64",
            "i1" => "int8",
            "i2" => "int16",
            "i4" => "int32",
            "i8" => "int64",
            "u1" => "uint8",
            "u2" => "uint16",
            "u4" => "uint32",
            "u8" => "uint64",
            "b1" => "bool",
            "c8" => "complex64",
            "c16" => "complex128",
            _ => return None,
        };
        let element = Self::of_dtype(dtype)?;
        match order {
            "<" => Some(element),
            "|" | "=" if one_byte => Some(element),
            _ if one_byte => None,
            _ => Some(Self::other(format!("{order}{name}"), element.bytes)),
        }
    }
}
