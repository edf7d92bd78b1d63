//! `constant`: a tensor known when the program is built.

use super::check;
use crate::{
    Builder, Literal, Result, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// A literal (<https://openxla.org/stablehlo/spec#constant>).
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its value.
    pub value: Literal,
}

impl Operation for Constant {
    fn name(&self) -> &'static str {
        "stablehlo.constant"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [] = check::operands(operands)?;
        Ok(vec![self.value.ty().clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("value", self.value.mlir())]
    }
}

impl Builder {
    /// A literal. See [`Constant`].
    pub fn constant(&self, value: Literal) -> Result<Value> {
        self.push_one(Constant { value }, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn has_its_literals_type_and_no_operands() {
        let b = Builder::new("main");
        let value = Literal::from_slice([2], &[1_i32, 2]).unwrap();
        let x = b.constant(value.clone()).unwrap();
        assert_eq!(b.ty(x), TensorType::new(DType::I32, [2]));
        let error = b.push(Constant { value }, &[x], &[]).unwrap_err();
        assert_eq!(error.problem, "takes 0 operands, found 1");
    }
}
