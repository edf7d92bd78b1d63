//! `multiply`: element-wise product; logical AND for booleans.

use super::elementwise;
use crate::{Builder, Result, TensorType, Value, op::{Operation, RegionType}};

/// `lhs * rhs` (<https://openxla.org/stablehlo/spec#multiply>).
#[derive(Clone, Debug, PartialEq)]
pub struct Multiply;

impl Operation for Multiply {
    fn name(&self) -> &'static str {
        "stablehlo.multiply"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        elementwise::binary(operands, |_| true, "any")
    }
}

impl Builder {
    /// `lhs * rhs`, both of one type. See [`Multiply`].
    pub fn multiply(&self, lhs: Value, rhs: Value) -> Result<Value> {
        self.push_one(Multiply, &[lhs, rhs])
    }
}
