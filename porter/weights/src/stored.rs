//! How many bytes an encoding takes.

use porter_ir::{DType, Shape};

use crate::{Encoding, gguf::blocks};

/// The smallest run of elements that is stored as whole bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) elements: usize,
    pub(crate) bytes: usize,
}

impl Encoding {
    /// The unit in which this encoding is stored, or `None` if it is not known.
    pub(crate) fn unit(&self) -> Option<Unit> {
        match self {
            Encoding::Plain(DType::I4 | DType::U4 | DType::F4E2M1FN) => Some(Unit { elements: 2, bytes: 1 }),
            Encoding::Plain(dtype) => Some(Unit { elements: 1, bytes: dtype.host_bytes() }),
            Encoding::Block(block) => Some(blocks::unit(*block)),
            Encoding::Other(name) => other(name),
        }
    }
}

/// The unit of an element type that is not read as numbers, by safetensors' name or PyTorch's.
fn other(name: &str) -> Option<Unit> {
    let (elements, bytes) = match name {
        "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" | "float8_e8m0fnu" | "float8_e4m3fnuz"
        | "float8_e5m2fnuz" => (1, 1),
        "F6_E2M3" | "F6_E3M2" => (4, 3),
        "complex32" => (1, 4),
        "C64" | "complex64" => (1, 8),
        "complex128" => (1, 16),
        _ => return None,
    };
    Some(Unit { elements, bytes })
}

/// The bytes that a tensor takes, or why it cannot: rows of blocks must be whole blocks.
pub(crate) fn stored_bytes(encoding: &Encoding, shape: &Shape) -> Result<usize, String> {
    let unit = encoding.unit().ok_or_else(|| format!("{encoding} has no known size"))?;
    let row = shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(unit.elements) {
        return Err(format!(
            "rows of {row} elements are not a multiple of {encoding}'s block of {}",
            unit.elements
        ));
    }
    let elements = shape.checked_elements();
    let bytes = elements.and_then(|n| (n / unit.elements).checked_mul(unit.bytes));
    bytes.ok_or_else(|| format!("shape {shape} overflows"))
}
