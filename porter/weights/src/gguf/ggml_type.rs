//! GGML's quantised block types.

use std::fmt;

use porter_ir::DType;

use crate::Encoding;

/// A quantised block type, by GGML's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, non_camel_case_types, reason = "GGML's own names")]
pub enum GgmlType {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ1_S,
    IQ1_M,
    IQ2_XXS,
    IQ2_XS,
    IQ2_S,
    IQ3_XXS,
    IQ3_S,
    IQ4_NL,
    IQ4_XS,
    TQ1_0,
    TQ2_0,
    MXFP4,
    NVFP4,
}

impl GgmlType {
    /// Every block type that is read.
    pub const ALL: [GgmlType; 23] = [
        GgmlType::Q4_0,
        GgmlType::Q4_1,
        GgmlType::Q5_0,
        GgmlType::Q5_1,
        GgmlType::Q8_0,
        GgmlType::Q2_K,
        GgmlType::Q3_K,
        GgmlType::Q4_K,
        GgmlType::Q5_K,
        GgmlType::Q6_K,
        GgmlType::IQ1_S,
        GgmlType::IQ1_M,
        GgmlType::IQ2_XXS,
        GgmlType::IQ2_XS,
        GgmlType::IQ2_S,
        GgmlType::IQ3_XXS,
        GgmlType::IQ3_S,
        GgmlType::IQ4_NL,
        GgmlType::IQ4_XS,
        GgmlType::TQ1_0,
        GgmlType::TQ2_0,
        GgmlType::MXFP4,
        GgmlType::NVFP4,
    ];

    /// The id in a GGUF file (`enum ggml_type` in ggml.h).
    pub const fn id(self) -> u32 {
        match self {
            GgmlType::Q4_0 => 2,
            GgmlType::Q4_1 => 3,
            GgmlType::Q5_0 => 6,
            GgmlType::Q5_1 => 7,
            GgmlType::Q8_0 => 8,
            GgmlType::Q2_K => 10,
            GgmlType::Q3_K => 11,
            GgmlType::Q4_K => 12,
            GgmlType::Q5_K => 13,
            GgmlType::Q6_K => 14,
            GgmlType::IQ2_XXS => 16,
            GgmlType::IQ2_XS => 17,
            GgmlType::IQ3_XXS => 18,
            GgmlType::IQ1_S => 19,
            GgmlType::IQ4_NL => 20,
            GgmlType::IQ3_S => 21,
            GgmlType::IQ2_S => 22,
            GgmlType::IQ4_XS => 23,
            GgmlType::IQ1_M => 29,
            GgmlType::TQ1_0 => 34,
            GgmlType::TQ2_0 => 35,
            GgmlType::MXFP4 => 39,
            GgmlType::NVFP4 => 40,
        }
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// GGML's id of each plain type that GGUF holds.
const PLAIN: [(u32, DType); 8] = [
    (0, DType::F32),
    (1, DType::F16),
    (24, DType::I8),
    (25, DType::I16),
    (26, DType::I32),
    (27, DType::I64),
    (28, DType::F64),
    (30, DType::BF16),
];

/// The tensor type id of an encoding, if GGUF has it.
pub(crate) fn id(encoding: &Encoding) -> Option<u32> {
    match encoding {
        Encoding::Block(block) => Some(block.id()),
        Encoding::Plain(dtype) => PLAIN.iter().find(|(_, plain)| plain == dtype).map(|(id, _)| *id),
        Encoding::Other(_) => None,
    }
}

/// The encoding of a GGUF tensor type id, or what is wrong with the id.
pub(super) fn encoding(id: u32) -> Result<Encoding, String> {
    if let Some(block) = GgmlType::ALL.into_iter().find(|block| block.id() == id) {
        return Ok(Encoding::Block(block));
    }
    let plain = PLAIN.iter().find(|(plain, _)| *plain == id);
    plain.map(|(_, dtype)| Encoding::Plain(*dtype)).ok_or_else(|| unread(id))
}

/// Why a tensor type id is not read.
fn unread(id: u32) -> String {
    let why = match id {
        9 | 15 => "is for activations only (Q8_1, Q8_K) and has no place in a file",
        4 | 5 | 31..=33 | 36..=38 => "was removed from GGML",
        41 => "(Q1_0) is not read yet",
        _ => "is unknown",
    };
    format!("GGML tensor type {id} {why}")
}
