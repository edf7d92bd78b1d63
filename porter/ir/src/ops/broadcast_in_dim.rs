//! `broadcast_in_dim`: a tensor repeated along new or size-1 dimensions.

use super::check;
use crate::{
    Builder, Result, Shape, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// Operand dimension `i` becomes result dimension `dimensions[i]`, repeated where its size is 1; the
/// other result dimensions repeat the whole (<https://openxla.org/stablehlo/spec#broadcast_in_dim>).
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastInDim {
    /// The shape of the result.
    pub shape: Shape,
    /// For each operand dimension the result dimension that it becomes.
    pub dimensions: Vec<usize>,
}

impl Operation for BroadcastInDim {
    fn name(&self) -> &'static str {
        "stablehlo.broadcast_in_dim"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        check::length("broadcast dimensions", &self.dimensions, x.shape.rank())?;
        check::unique_dims("broadcast dimension", self.shape.rank(), &self.dimensions)?;
        for (i, (&size, &dim)) in x.shape.iter().zip(&self.dimensions).enumerate() {
            if size != 1 && size != self.shape[dim] {
                let expected = self.shape[dim];
                return Err(format!("dimension {i} is {size}, expected 1 or {expected} of {}", self.shape));
            }
        }
        Ok(vec![TensorType::new(x.dtype, self.shape.clone())])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("broadcast_dimensions", i64_array(&self.dimensions))]
    }
}

impl Builder {
    /// `x` repeated to `shape`, its dimension `i` at `dimensions[i]`. See [`BroadcastInDim`].
    pub fn broadcast_in_dim(&self, x: Value, shape: impl Into<Shape>, dimensions: &[usize]) -> Result<Value> {
        self.push_one(BroadcastInDim { shape: shape.into(), dimensions: dimensions.to_vec() }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn repeats_size_one_and_new_dimensions() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [1, 3])).unwrap();
        let y = b.broadcast_in_dim(x, [2, 5, 3], &[0, 2]).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [2, 5, 3]));
        let problem = |shape: &[usize], dims: &[usize]| b.broadcast_in_dim(x, shape, dims).unwrap_err().problem;
        assert_eq!(problem(&[2, 4], &[0, 1]), "dimension 1 is 3, expected 1 or 4 of [2, 4]");
        assert_eq!(problem(&[2, 3], &[0, 2]), "broadcast dimension 2 is not below the rank 2");
        assert_eq!(problem(&[2, 3], &[1]), "1 broadcast dimensions, expected 2");
    }
}
