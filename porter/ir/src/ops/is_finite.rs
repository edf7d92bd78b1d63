//! `is_finite`: neither infinite nor NaN.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// True where a float is neither infinite nor NaN (<https://openxla.org/stablehlo/spec#is_finite>).
#[derive(Clone, Debug, PartialEq)]
pub struct IsFinite;

impl Operation for IsFinite {
    fn name(&self) -> &'static str {
        "stablehlo.is_finite"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        check::float("elements", x)?;
        Ok(vec![TensorType::new(DType::Bool, x.shape.clone())])
    }
}

impl Builder {
    /// True where a float is neither infinite nor NaN. See [`IsFinite`].
    pub fn is_finite(&self, x: Value) -> Result<Value> {
        self.push_one(IsFinite, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_booleans_and_refuses_integers() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::BF16, [2])).unwrap();
        let y = b.is_finite(x).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::Bool, [2]));
        let n = b.argument("n", TensorType::new(DType::I32, [2])).unwrap();
        assert_eq!(b.is_finite(n).unwrap_err().problem, "the elements must be floats, found i32[2]");
    }
}
