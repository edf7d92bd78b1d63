//! `transpose`: dimensions in another order.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// Result dimension `i` is operand dimension `permutation[i]`
/// (<https://openxla.org/stablehlo/spec#transpose>).
#[derive(Clone, Debug, PartialEq)]
pub struct Transpose {
    /// Each operand dimension once.
    pub permutation: Vec<usize>,
}

impl Operation for Transpose {
    fn name(&self) -> &'static str {
        "stablehlo.transpose"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        check::length("dimensions in the permutation", &self.permutation, x.shape.rank())?;
        check::unique_dims("dimension", x.shape.rank(), &self.permutation)?;
        let shape: Vec<usize> = self.permutation.iter().map(|&dim| x.shape[dim]).collect();
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("permutation", i64_array(&self.permutation))]
    }
}

impl Builder {
    /// `x` with its dimensions in the order of `permutation`. See [`Transpose`].
    pub fn transpose(&self, x: Value, permutation: &[usize]) -> Result<Value> {
        self.push_one(Transpose { permutation: permutation.to_vec() }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn takes_sizes_in_the_new_order() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3, 4])).unwrap();
        let y = b.transpose(x, &[2, 0, 1]).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [4, 2, 3]));
        let problem = |permutation: &[usize]| b.transpose(x, permutation).unwrap_err().problem;
        assert_eq!(problem(&[0, 1]), "2 dimensions in the permutation, expected 3");
        assert_eq!(problem(&[0, 1, 1]), "dimension 1 is named twice in [0, 1, 1]");
    }
}
