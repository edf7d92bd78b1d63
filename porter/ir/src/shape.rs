//! Static shapes and tensor types.

use std::{
    fmt::{self, Write},
    ops::Deref,
};

use crate::DType;

/// A static shape: the size of each dimension, outermost first. A scalar has no dimension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape of these sizes.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self(dims.into())
    }

    /// The shape of a scalar.
    pub const fn scalar() -> Self {
        Self(Vec::new())
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements, or `None` where it overflows `usize`.
    pub fn checked_elements(&self) -> Option<usize> {
        // A zero anywhere makes the tensor empty, however large the other sizes are.
        if self.0.contains(&0) {
            return Some(0);
        }
        self.0.iter().try_fold(1_usize, |n, &d| n.checked_mul(d))
    }

    /// The number of elements, saturating.
    pub fn elements(&self) -> usize {
        self.checked_elements().unwrap_or(usize::MAX)
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<T: Into<Vec<usize>>> From<T> for Shape {
    fn from(dims: T) -> Self {
        Self(dims.into())
    }
}

impl fmt::Display for Shape {
    /// `[2, 3]`; `[]` for a scalar.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

/// An element type and a shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// The static shape.
    pub shape: Shape,
}

impl TensorType {
    /// A tensor of `dtype` and `shape`.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    /// A rank-0 tensor.
    pub fn scalar(dtype: DType) -> Self {
        Self::new(dtype, Shape::scalar())
    }

    /// Bytes in a host buffer handed to PJRT, saturating.
    pub fn host_bytes(&self) -> usize {
        self.shape.elements().saturating_mul(self.dtype.host_bytes())
    }

    /// The size on a device, where types below a byte are packed, before its layout pads.
    pub fn device_bytes(&self) -> usize {
        self.shape.elements().saturating_mul(self.dtype.bits()).div_ceil(8)
    }

    /// The MLIR spelling: `tensor<2x3xf32>`.
    pub fn mlir(&self) -> String {
        let mut text = String::from("tensor<");
        for d in self.shape.iter() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{d}x");
        }
        text + self.dtype.mlir() + ">"
    }
}

impl fmt::Display for TensorType {
    /// `f32[2, 3]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let t = TensorType::new(DType::BF16, [2, 3]);
        assert_eq!(t.mlir(), "tensor<2x3xbf16>");
        assert_eq!(t.to_string(), "bf16[2, 3]");
        assert_eq!(TensorType::scalar(DType::I32).mlir(), "tensor<i32>");
    }

    #[test]
    fn overflow_is_seen_and_an_empty_tensor_is_not_one() {
        assert_eq!(Shape::new([usize::MAX, 2]).checked_elements(), None);
        assert_eq!(Shape::new([usize::MAX, 2, 0]).checked_elements(), Some(0));
    }
}
