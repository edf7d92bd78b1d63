//! Tensors as callers give and get them.

use porter_ir::{Element, Literal, Shape, TensorType};

use crate::ExecuteError;

/// A tensor on the host: little-endian elements in row-major order as in a PJRT host buffer, types
/// below a byte one byte each.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    ty: TensorType,
    bytes: Vec<u8>,
}

impl Tensor {
    /// A tensor of `ty` over its bytes. Of types below a byte only the bits that they use count, and a
    /// boolean is true where its byte is not zero.
    pub fn new(ty: TensorType, bytes: Vec<u8>) -> Result<Self, ExecuteError> {
        let expected = ty.shape.checked_elements().and_then(|n| n.checked_mul(ty.dtype.host_bytes()));
        if expected == Some(bytes.len()) {
            return Ok(Self { ty, bytes });
        }
        Err(ExecuteError::Bytes { ty, found: bytes.len(), expected: expected.unwrap_or(usize::MAX) })
    }

    /// The elements of `values` in row-major order.
    pub fn from_slice<T: Element>(shape: impl Into<Shape>, values: &[T]) -> Result<Self, ExecuteError> {
        let mut bytes = Vec::with_capacity(size_of_val(values));
        for &value in values {
            value.write(&mut bytes);
        }
        Self::new(TensorType::new(T::DTYPE, shape), bytes)
    }

    /// Its type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Its elements.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its elements, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl From<&Literal> for Tensor {
    fn from(literal: &Literal) -> Self {
        Self { ty: literal.ty().clone(), bytes: literal.bytes().to_vec() }
    }
}
