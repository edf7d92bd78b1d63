//! `reverse`: the order of elements turned around along dimensions.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// `x` with the order along `dimensions` turned around (<https://openxla.org/stablehlo/spec#reverse>).
#[derive(Clone, Debug, PartialEq)]
pub struct Reverse {
    /// Each at most once.
    pub dimensions: Vec<usize>,
}

impl Operation for Reverse {
    fn name(&self) -> &'static str {
        "stablehlo.reverse"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        check::unique_dims("dimension", x.shape.rank(), &self.dimensions)?;
        Ok(vec![x.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("dimensions", i64_array(&self.dimensions))]
    }
}

impl Builder {
    /// `x` turned around along `dimensions`. See [`Reverse`].
    pub fn reverse(&self, x: Value, dimensions: &[usize]) -> Result<Value> {
        self.push_one(Reverse { dimensions: dimensions.to_vec() }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn keeps_the_type() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 9])).unwrap();
        let y = b.reverse(x, &[1]).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        assert_eq!(b.reverse(x, &[2]).unwrap_err().problem, "dimension 2 is not below the rank 2");
    }
}
