//! `add`: element-wise sum; logical OR for booleans.

use super::elementwise;
use crate::{Builder, Result, TensorType, Value, op::{Operation, RegionType}};

/// `lhs + rhs` (<https://openxla.org/stablehlo/spec#add>).
#[derive(Clone, Debug, PartialEq)]
pub struct Add;

impl Operation for Add {
    fn name(&self) -> &'static str {
        "stablehlo.add"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        elementwise::binary(operands, |_| true, "any")
    }
}

impl Builder {
    /// `lhs + rhs`, both of one type. See [`Add`].
    pub fn add(&self, lhs: Value, rhs: Value) -> Result<Value> {
        self.push_one(Add, &[lhs, rhs])
    }
}
