//! The elements of a tensor, wherever the message keeps them.

use std::borrow::Cow;

use crate::{DataType, TensorProto};

/// What is wrong with a tensor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum TensorError {
    #[error("element type {0} is none of ONNX's")]
    DataType(i64),
    #[error("elements are {0}, which are no numbers")]
    NoNumbers(DataType),
    #[error("size {0} of dimension {1} is negative")]
    Size(i64, usize),
    #[error("the shape {0:?} has more elements than memory can be addressed")]
    TooLarge(Vec<i64>),
    #[error("holds {found} bytes, expected {expected} for {dtype}{dims:?}")]
    Bytes { dtype: DataType, dims: Vec<usize>, expected: usize, found: usize },
    #[error("holds {found} elements, expected {expected} for {dtype}{dims:?}")]
    Elements { dtype: DataType, dims: Vec<usize>, expected: usize, found: usize },
    #[error("a segment of a larger tensor, which no reader joins: save the model whole")]
    Segment,
    #[error("is kept in another file: {0}")]
    External(String),
}

impl TensorProto {
    /// The element type.
    pub fn dtype(&self) -> Result<DataType, TensorError> {
        let number = i64::from(self.data_type());
        DataType::new(number).ok_or(TensorError::DataType(number))
    }

    /// The sizes, none negative.
    pub fn shape(&self) -> Result<Vec<usize>, TensorError> {
        let size = |(i, &d): (usize, &i64)| usize::try_from(d).map_err(|_| TensorError::Size(d, i));
        self.dims.iter().enumerate().map(size).collect()
    }

    /// Whether the elements lie in a file beside the model.
    pub fn is_external(&self) -> bool {
        self.data_location() == 1
    }

    /// The value of a key of `external_data`.
    pub fn external(&self, key: &str) -> Option<&str> {
        self.external_data.iter().find(|entry| entry.key() == key).map(crate::StringStringEntryProto::value)
    }

    /// Bytes that the elements take as `raw_data` packs them: little-endian, types below a byte packed
    /// from the low bits up.
    pub fn packed_bytes(&self) -> Result<usize, TensorError> {
        let bits = self.dtype()?.bits().ok_or(TensorError::NoNumbers(DataType::String))?;
        Ok(self.elements()?.checked_mul(bits).ok_or_else(|| self.too_large())?.div_ceil(8))
    }

    /// The number of elements.
    pub fn elements(&self) -> Result<usize, TensorError> {
        let shape = self.shape()?;
        if shape.contains(&0) {
            return Ok(0);
        }
        let product = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        product.filter(|n| n.checked_mul(16).is_some()).ok_or_else(|| self.too_large())
    }

    /// The elements that the message itself holds, as `raw_data` packs them, borrowed where it does.
    pub fn packed(&self) -> Result<Cow<'_, [u8]>, TensorError> {
        if self.segment.is_some() {
            return Err(TensorError::Segment);
        }
        if self.is_external() {
            return Err(TensorError::External(self.external("location").unwrap_or_default().to_owned()));
        }
        let (dtype, dims, expected) = (self.dtype()?, self.shape()?, self.packed_bytes()?);
        if let Some(raw) = &self.raw_data {
            if raw.len() != expected {
                return Err(TensorError::Bytes { dtype, dims, expected, found: raw.len() });
            }
            return Ok(Cow::Borrowed(raw));
        }
        let fields = self.fields(dtype);
        if fields.len() != expected {
            let bytes = dtype.bits().unwrap_or(8).div_ceil(8);
            let (expected, found) = (expected / bytes, fields.len() / bytes);
            return Err(TensorError::Elements { dtype, dims, expected, found });
        }
        Ok(Cow::Owned(fields))
    }

    /// The typed field of `dtype`, as bytes.
    fn fields(&self, dtype: DataType) -> Vec<u8> {
        let narrow = |width: usize| {
            self.int32_data.iter().flat_map(|x| x.to_le_bytes().into_iter().take(width)).collect()
        };
        match dtype {
            DataType::Float | DataType::Complex64 => {
                self.float_data.iter().flat_map(|x| x.to_le_bytes()).collect()
            }
            DataType::Double | DataType::Complex128 => {
                self.double_data.iter().flat_map(|x| x.to_le_bytes()).collect()
            }
            DataType::Int64 => self.int64_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            DataType::Uint64 => self.uint64_data.iter().flat_map(|x| x.to_le_bytes()).collect(),
            DataType::Uint32 => self.uint64_data.iter().flat_map(|x| (*x as u32).to_le_bytes()).collect(),
            DataType::Int32 => narrow(4),
            DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => narrow(2),
            DataType::String => Vec::new(),
            _ => narrow(1),
        }
    }

    fn too_large(&self) -> TensorError {
        TensorError::TooLarge(self.dims.clone())
    }
}

/// Elements of `bits` below a byte, unpacked to a byte each, the sign extended where there is one.
/// Bytes that are missing give no elements.
pub fn unpack(packed: &[u8], bits: usize, signed: bool, count: usize) -> Vec<u8> {
    let per_byte = 8 / bits.clamp(1, 8);
    let element = |(byte, i): (u8, usize)| {
        let high = 8 - bits * (i + 1);
        let shifted = byte << high;
        if signed { ((shifted as i8) >> (8 - bits)) as u8 } else { shifted >> (8 - bits) }
    };
    packed.iter().flat_map(|&byte| (0..per_byte).map(move |i| (byte, i))).take(count).map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_types_are_packed_from_the_low_bits_up() {
        assert_eq!(unpack(&[0xF1, 0x02], 4, false, 3), [1, 15, 2]);
        assert_eq!(unpack(&[0xF1, 0x08], 4, true, 3), [1, 255, 0xF8]);
        assert_eq!(unpack(&[0b1110_0100], 2, true, 4), [0, 1, 0xFE, 0xFF]);
    }

    #[test]
    fn lying_shapes_are_refused_before_memory_is_taken() {
        let tensor =
            |dims: &[i64]| TensorProto { dims: dims.to_vec(), data_type: Some(1), ..Default::default() };
        assert_eq!(tensor(&[1 << 40, 1 << 40]).packed(), Err(TensorError::TooLarge(vec![1 << 40, 1 << 40])));
        assert_eq!(tensor(&[-1]).packed(), Err(TensorError::Size(-1, 0)));
        let error = tensor(&[1 << 40]).packed().unwrap_err().to_string();
        assert_eq!(error, "holds 0 elements, expected 1099511627776 for FLOAT[1099511627776]");
        assert!(tensor(&[0]).packed().unwrap().is_empty());
    }
}
