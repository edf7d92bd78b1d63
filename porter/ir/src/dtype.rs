//! Element types.

use std::{fmt, str::FromStr};

/// An element type, spelled as StableHLO spells it
/// (<https://openxla.org/stablehlo/spec#types>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum DType {
    Bool,
    I4,
    I8,
    I16,
    I32,
    I64,
    U4,
    U8,
    U16,
    U32,
    U64,
    F4E2M1FN,
    F8E4M3FN,
    F8E5M2,
    BF16,
    F16,
    F32,
    F64,
}

/// The arithmetic family of a [`DType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

impl DType {
    /// Every type, narrow to wide within its kind.
    pub const ALL: [DType; 18] = [
        DType::Bool,
        DType::I4,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U4,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F4E2M1FN,
        DType::F8E4M3FN,
        DType::F8E5M2,
        DType::BF16,
        DType::F16,
        DType::F32,
        DType::F64,
    ];

    /// What NumPy and JAX call it, with `ml_dtypes` for what NumPy lacks.
    pub const fn numpy(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I4 => "int4",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U4 => "uint4",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::F4E2M1FN => "float4_e2m1fn",
            DType::F8E4M3FN => "float8_e4m3fn",
            DType::F8E5M2 => "float8_e5m2",
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            DType::F32 => "float32",
            DType::F64 => "float64",
        }
    }

    /// Bits that one element carries. A `Bool` carries one, though it is stored as a byte.
    pub const fn bits(self) -> usize {
        match self {
            DType::Bool => 1,
            DType::I4 | DType::U4 | DType::F4E2M1FN => 4,
            DType::I8 | DType::U8 | DType::F8E4M3FN | DType::F8E5M2 => 8,
            DType::I16 | DType::U16 | DType::BF16 | DType::F16 => 16,
            DType::I32 | DType::U32 | DType::F32 => 32,
            DType::I64 | DType::U64 | DType::F64 => 64,
        }
    }

    /// Bytes that one element takes in a host buffer handed to PJRT, where types below a byte take
    /// one byte an element (`facts/pjrt.md` part 2).
    pub const fn host_bytes(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// The integers that a host buffer of this type holds: those of 4 bits lie in a byte each.
    #[must_use]
    pub const fn on_host(self) -> DType {
        match self {
            DType::I4 => DType::I8,
            DType::U4 => DType::U8,
            other => other,
        }
    }

    /// The arithmetic family.
    pub const fn kind(self) -> Kind {
        match self {
            DType::Bool => Kind::Bool,
            DType::I4 | DType::I8 | DType::I16 | DType::I32 | DType::I64 => Kind::Signed,
            DType::U4 | DType::U8 | DType::U16 | DType::U32 | DType::U64 => Kind::Unsigned,
            DType::F4E2M1FN
            | DType::F8E4M3FN
            | DType::F8E5M2
            | DType::BF16
            | DType::F16
            | DType::F32
            | DType::F64 => Kind::Float,
        }
    }

    /// True for floating point types.
    pub const fn is_float(self) -> bool {
        matches!(self.kind(), Kind::Float)
    }

    /// True for signed and unsigned integers, not for `Bool`.
    pub const fn is_integer(self) -> bool {
        matches!(self.kind(), Kind::Signed | Kind::Unsigned)
    }

    /// The MLIR spelling: `i1`, `ui8`, `bf16`, `f8E4M3FN`, ...
    pub const fn mlir(self) -> &'static str {
        match self {
            DType::Bool => "i1",
            DType::I4 => "i4",
            DType::I8 => "i8",
            DType::I16 => "i16",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::U4 => "ui4",
            DType::U8 => "ui8",
            DType::U16 => "ui16",
            DType::U32 => "ui32",
            DType::U64 => "ui64",
            DType::F4E2M1FN => "f4E2M1FN",
            DType::F8E4M3FN => "f8E4M3FN",
            DType::F8E5M2 => "f8E5M2",
            DType::BF16 => "bf16",
            DType::F16 => "f16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// The everyday spelling, as in command lines and reports: `bool`, `u8`, `bf16`, ...
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U4 => "u4",
            DType::U8 => "u8",
            DType::U16 => "u16",
            DType::U32 => "u32",
            DType::U64 => "u64",
            other => other.mlir(),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no [`DType`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown dtype {0:?}: expected one of bool, i4..i64, u4..u64, f4E2M1FN, f8E4M3FN, f8E5M2, bf16, f16, f32, f64"
)]
pub struct UnknownDType(pub String);

impl FromStr for DType {
    type Err = UnknownDType;

    /// Reads everyday, MLIR, NumPy and PyTorch spellings (`f32`, `float32`, `torch.bfloat16`).
    fn from_str(text: &str) -> Result<Self, UnknownDType> {
        let name = text.strip_prefix("torch.").unwrap_or(text);
        let alias = match name {
            "double" => Some(DType::F64),
            "float" => Some(DType::F32),
            "half" => Some(DType::F16),
            _ => None,
        };
        let is = |dtype: &DType| [dtype.name(), dtype.mlir(), dtype.numpy()].contains(&name);
        alias.or_else(|| DType::ALL.into_iter().find(is)).ok_or_else(|| UnknownDType(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse(), Ok(dtype));
            assert_eq!(dtype.mlir().parse(), Ok(dtype));
            assert_eq!(dtype.numpy().parse(), Ok(dtype));
        }
        assert_eq!("torch.bfloat16".parse(), Ok(DType::BF16));
        assert!("float".parse::<DType>().is_ok());
        assert!("f31".parse::<DType>().is_err());
    }
}
