//! Typed constants.

use std::sync::Arc;

use crate::{DType, Element, Kind, Shape, TensorType, float};

/// A tensor known when the program is built: one value for all elements, or one for each.
///
/// Elements are kept little-endian as in a host buffer, where types below a byte take one byte each
/// (sign-extended for i4).
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    ty: TensorType,
    elements: Elements,
}

#[derive(Clone, Debug, PartialEq)]
enum Elements {
    /// The bytes of the one element that fills the tensor.
    Splat(Arc<[u8]>),
    /// The bytes of all elements in row-major order.
    Dense(Arc<[u8]>),
}

/// A constant that cannot be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum LiteralError {
    #[error("{value} is no value of {dtype}")]
    NoValue { value: String, dtype: DType },
    #[error("{found} elements, expected {expected} for {ty}")]
    Count { ty: TensorType, found: usize, expected: usize },
    #[error("{found} bytes, expected {expected} for {ty}")]
    Bytes { ty: TensorType, found: usize, expected: usize },
    #[error("byte {byte:#04x} of element {index} is no {dtype}")]
    Pattern { dtype: DType, index: usize, byte: u8 },
    #[error("{ty} has more bytes than memory can be addressed")]
    TooLarge { ty: TensorType },
}

impl Literal {
    /// `value` for every element. Floats round to the nearest, ties to even, and what is past their
    /// range becomes infinity (NaN in f8E4M3FN, the largest value in f4E2M1FN, as in `ml_dtypes`); an
    /// integer or boolean type takes only a value that it holds exactly.
    pub fn splat(ty: TensorType, value: f64) -> Result<Self, LiteralError> {
        let dtype = ty.dtype;
        match float::encode(dtype, value) {
            Some(bits) => Self::filled(ty, bits),
            // 2^127 and more does not fit any integer type, and the cast saturates there.
            None if value.fract() == 0.0 => Self::filled_with_integer(ty, value as i128),
            None => Err(LiteralError::NoValue { value: value.to_string(), dtype }),
        }
    }

    /// `value` for every element: exactly in an integer or boolean type, rounded to the nearest in a
    /// float type.
    pub fn splat_i64(ty: TensorType, value: i64) -> Result<Self, LiteralError> {
        if ty.dtype.is_float() {
            return Self::splat(ty, value as f64);
        }
        Self::filled_with_integer(ty, value.into())
    }

    /// The elements of `values` in row-major order.
    pub fn from_slice<T: Element>(shape: impl Into<Shape>, values: &[T]) -> Result<Self, LiteralError> {
        let ty = TensorType::new(T::DTYPE, shape);
        if ty.shape.checked_elements() != Some(values.len()) {
            let expected = ty.shape.elements();
            return Err(LiteralError::Count { ty, found: values.len(), expected });
        }
        let mut bytes = Vec::with_capacity(size_of_val(values));
        for value in values {
            value.write(&mut bytes);
        }
        Ok(Self { ty, elements: Elements::Dense(bytes.into()) })
    }

    /// Little-endian elements in row-major order, types below a byte one byte each. Booleans must be 0
    /// or 1, and the bits that a narrow type does not use must be zero, or the sign for i4.
    pub fn from_bytes(ty: TensorType, bytes: impl Into<Arc<[u8]>>) -> Result<Self, LiteralError> {
        let bytes = bytes.into();
        let expected = ty.host_bytes();
        if bytes.len() != expected {
            return Err(LiteralError::Bytes { ty, found: bytes.len(), expected });
        }
        let dtype = ty.dtype;
        let fits = |byte: u8| match dtype {
            DType::Bool => byte <= 1,
            DType::U4 | DType::F4E2M1FN => byte < 16,
            DType::I4 => (-8..8).contains(&(byte as i8)),
            _ => true,
        };
        match bytes.iter().position(|&byte| !fits(byte)) {
            None => Ok(Self { ty, elements: Elements::Dense(bytes) }),
            Some(index) => Err(LiteralError::Pattern { dtype, index, byte: bytes[index] }),
        }
    }

    /// The least value of `dtype` as a scalar: minus infinity where the type has it.
    pub fn least(dtype: DType) -> Result<Self, LiteralError> {
        let ty = TensorType::scalar(dtype);
        match dtype.kind() {
            Kind::Bool | Kind::Unsigned => Self::splat_i64(ty, 0),
            Kind::Signed => Self::splat_i64(ty, -1 << (dtype.bits() - 1)),
            Kind::Float => Self::splat(ty, float::least(dtype)),
        }
    }

    fn filled_with_integer(ty: TensorType, value: i128) -> Result<Self, LiteralError> {
        let bits = ty.dtype.bits();
        let range = match ty.dtype.kind() {
            Kind::Signed => -(1_i128 << (bits - 1))..1_i128 << (bits - 1),
            _ => 0..1_i128 << bits,
        };
        if range.contains(&value) {
            Self::filled(ty, value as u64)
        } else {
            Err(LiteralError::NoValue { value: value.to_string(), dtype: ty.dtype })
        }
    }

    fn filled(ty: TensorType, bits: u64) -> Result<Self, LiteralError> {
        let size = ty.shape.checked_elements().and_then(|n| n.checked_mul(ty.dtype.host_bytes()));
        if size.is_none_or(|size| isize::try_from(size).is_err()) {
            return Err(LiteralError::TooLarge { ty });
        }
        let bytes = bits.to_le_bytes();
        let element = &bytes[..ty.dtype.host_bytes()];
        Ok(Self { elements: Elements::Splat(element.into()), ty })
    }

    /// Its type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The bytes of the value that fills it, or `None` where elements are given one by one.
    pub fn splat_bytes(&self) -> Option<&[u8]> {
        match &self.elements {
            Elements::Splat(element) => Some(element),
            Elements::Dense(_) => None,
        }
    }

    /// The bytes of all elements in row-major order. A splat is written out.
    pub fn bytes(&self) -> Arc<[u8]> {
        match &self.elements {
            Elements::Splat(element) => element.repeat(self.ty.shape.elements()).into(),
            Elements::Dense(bytes) => Arc::clone(bytes),
        }
    }

    /// The attribute: `dense<1.0> : tensor<2xf32>`.
    pub(crate) fn mlir(&self) -> String {
        format!("dense<{}> : {}", self.elements_mlir(), self.ty.mlir())
    }

    fn elements_mlir(&self) -> String {
        if self.ty.shape.elements() == 0 {
            return String::new();
        }
        match &self.elements {
            Elements::Splat(element) => element_mlir(self.ty.dtype, element),
            Elements::Dense(bytes) if self.prints_as_list() => self.list(&self.ty.shape, bytes),
            Elements::Dense(bytes) => format!("\"0x{}\"", hex::encode_upper(bytes)),
        }
    }

    /// Few elements are for people to read. Booleans are a list always, because MLIR versions differ
    /// in whether eight of them share a byte of a hex string.
    fn prints_as_list(&self) -> bool {
        const READABLE: usize = 16;
        self.ty.dtype == DType::Bool || self.ty.shape.elements() <= READABLE
    }

    fn list(&self, shape: &[usize], bytes: &[u8]) -> String {
        let Some((&size, inner)) = shape.split_first() else { return element_mlir(self.ty.dtype, bytes) };
        let items: Vec<String> =
            bytes.chunks(bytes.len() / size).map(|part| self.list(inner, part)).collect();
        format!("[{}]", items.join(", "))
    }
}

fn element_mlir(dtype: DType, element: &[u8]) -> String {
    let mut bytes = [0; 8];
    bytes[..element.len()].copy_from_slice(element);
    let bits = u64::from_le_bytes(bytes);
    match dtype.kind() {
        Kind::Bool => (bits != 0).to_string(),
        Kind::Unsigned => bits.to_string(),
        Kind::Signed => sign_extended(bits, element.len() * 8).to_string(),
        Kind::Float => float_mlir(dtype, bits),
    }
}

fn sign_extended(bits: u64, width: usize) -> i64 {
    let shift = 64 - width;
    (bits << shift) as i64 >> shift
}

/// A decimal that reads back as exactly this value, or the bit pattern where there is none.
pub(crate) fn float_mlir(dtype: DType, bits: u64) -> String {
    let value = float::decode(dtype, bits).unwrap_or(f64::NAN);
    if !value.is_finite() {
        return format!("0x{bits:0width$X}", width = dtype.bits().div_ceil(4));
    }
    let text = format!("{value:?}");
    match text.split_once('e') {
        // MLIR wants a point before an exponent.
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;

    fn splat(dtype: DType, value: f64) -> String {
        Literal::splat(TensorType::new(dtype, [2]), value).unwrap().mlir()
    }

    #[test]
    fn splats() {
        assert_eq!(splat(DType::F32, 1.0), "dense<1.0> : tensor<2xf32>");
        assert_eq!(splat(DType::F32, 0.1), "dense<0.10000000149011612> : tensor<2xf32>");
        assert_eq!(splat(DType::F64, 1e-30), "dense<1.0e-30> : tensor<2xf64>");
        assert_eq!(splat(DType::F32, f64::NEG_INFINITY), "dense<0xFF800000> : tensor<2xf32>");
        assert_eq!(splat(DType::BF16, f64::NAN), "dense<0x7FC0> : tensor<2xbf16>");
        assert_eq!(splat(DType::F8E4M3FN, 1e9), "dense<0x7F> : tensor<2xf8E4M3FN>");
        assert_eq!(splat(DType::F4E2M1FN, 1e9), "dense<6.0> : tensor<2xf4E2M1FN>");
        assert_eq!(splat(DType::I4, -8.0), "dense<-8> : tensor<2xi4>");
        assert_eq!(splat(DType::Bool, 1.0), "dense<true> : tensor<2xi1>");
        let least = Literal::splat_i64(TensorType::scalar(DType::I64), i64::MIN).unwrap();
        assert_eq!(least.mlir(), "dense<-9223372036854775808> : tensor<i64>");
    }

    #[test]
    fn integers_refuse_what_they_do_not_hold() {
        let error = |dtype, value| Literal::splat(TensorType::scalar(dtype), value).unwrap_err().to_string();
        assert_eq!(error(DType::I32, 0.5), "0.5 is no value of i32");
        assert_eq!(error(DType::U8, 256.0), "256 is no value of u8");
        assert_eq!(error(DType::U64, -1.0), "-1 is no value of u64");
        assert_eq!(error(DType::I64, f64::INFINITY), "inf is no value of i64");
        assert_eq!(error(DType::Bool, 2.0), "2 is no value of bool");
    }

    #[test]
    fn least_values() {
        let least = |dtype| Literal::least(dtype).unwrap().mlir();
        assert_eq!(least(DType::BF16), "dense<0xFF80> : tensor<bf16>");
        assert_eq!(least(DType::F8E4M3FN), "dense<-448.0> : tensor<f8E4M3FN>");
        assert_eq!(least(DType::I64), "dense<-9223372036854775808> : tensor<i64>");
        assert_eq!(least(DType::I4), "dense<-8> : tensor<i4>");
        assert_eq!(least(DType::U8), "dense<0> : tensor<ui8>");
    }

    #[test]
    fn dense() {
        let small = Literal::from_slice([2, 2], &[1_u8, 2, 3, 4]).unwrap();
        assert_eq!(small.mlir(), "dense<[[1, 2], [3, 4]]> : tensor<2x2xui8>");
        let halves = Literal::from_slice([2], &[bf16::ONE, bf16::NEG_INFINITY]).unwrap();
        assert_eq!(halves.mlir(), "dense<[1.0, 0xFF80]> : tensor<2xbf16>");
        let large: Vec<i16> = (-1..16).collect();
        let large = Literal::from_slice([17], &large).unwrap().mlir();
        assert!(large.starts_with("dense<\"0xFFFF000001000200"), "{large}");
        let empty = Literal::from_slice::<f32>([0, 3], &[]).unwrap();
        assert_eq!(empty.mlir(), "dense<> : tensor<0x3xf32>");
        let scalar = Literal::from_slice([], &[7_i32]).unwrap();
        assert_eq!(scalar.mlir(), "dense<7> : tensor<i32>");
    }

    #[test]
    fn bytes_are_checked() {
        let ty = TensorType::new(DType::I4, [3]);
        let literal = Literal::from_bytes(ty.clone(), [0x07, 0xF8, 0xFF]).unwrap();
        assert_eq!(literal.mlir(), "dense<[7, -8, -1]> : tensor<3xi4>");
        let error = Literal::from_bytes(ty.clone(), [0x07, 0x08, 0xFF]).unwrap_err();
        assert_eq!(error.to_string(), "byte 0x08 of element 1 is no i4");
        let error = Literal::from_bytes(ty, [0; 2]).unwrap_err();
        assert_eq!(error.to_string(), "2 bytes, expected 3 for i4[3]");
        let error = Literal::from_slice([2], &[1.0_f32]).unwrap_err();
        assert_eq!(error.to_string(), "1 elements, expected 2 for f32[2]");
    }

    #[test]
    fn a_splat_is_written_out_and_an_impossible_one_refused() {
        let literal = Literal::splat(TensorType::new(DType::I16, [2]), -2.0).unwrap();
        assert_eq!(*literal.bytes(), [0xFE, 0xFF, 0xFE, 0xFF]);
        let huge = TensorType::new(DType::F32, [usize::MAX / 8]);
        assert!(Literal::splat(huge, 0.0).is_ok());
        let error = Literal::splat(TensorType::new(DType::F32, [usize::MAX]), 0.0).unwrap_err();
        assert!(matches!(error, LiteralError::TooLarge { .. }));
    }
}
