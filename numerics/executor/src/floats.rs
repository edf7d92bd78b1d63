//! How floating point is computed.

#[cfg(feature = "burn")]
use porter_ir::{DType, TensorType};

/// How floating point is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Floats {
    /// In the types that the program says: every op rounds to its result type. What is narrower than
    /// f32 is computed wider and rounded once; products of matrices are summed in f32, or in f64 for f64.
    AsWritten,
    /// In f64 whatever type the program says, and never rounded to a narrower one: conversions between
    /// float types and `reduce_precision` change nothing. The same program without rounding error; its
    /// float outputs are f64.
    Double,
}

#[cfg(feature = "burn")]
impl Floats {
    /// The element type that values of `dtype` are held in.
    pub(crate) fn held_dtype(self, dtype: DType) -> DType {
        if self == Floats::Double && dtype.is_float() { DType::F64 } else { dtype }
    }

    /// The type that values of `ty` are held in.
    pub(crate) fn held(self, ty: &TensorType) -> TensorType {
        TensorType::new(self.held_dtype(ty.dtype), ty.shape.clone())
    }
}
