//! `concatenate`: tensors one after the other along a dimension.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_number},
    op::{Operation, RegionType},
};

/// One or more tensors joined along `dimension`, equal in all others
/// (<https://openxla.org/stablehlo/spec#concatenate>).
#[derive(Clone, Debug, PartialEq)]
pub struct Concatenate {
    /// The dimension whose sizes add up.
    pub dimension: usize,
}

impl Operation for Concatenate {
    fn name(&self) -> &'static str {
        "stablehlo.concatenate"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let first = *operands.first().ok_or("takes at least 1 operand, found 0")?;
        check::dim("concatenated", &first.shape, self.dimension)?;
        let mut joined: usize = 0;
        for (i, ty) in operands.iter().enumerate() {
            let size = check::dim("concatenated", &ty.shape, self.dimension)?;
            let others = |ty: &TensorType| check::rest(&ty.shape, &[&[self.dimension]]);
            if ty.dtype != first.dtype || others(ty) != others(first) {
                return Err(format!("operand {i} may differ from the first in dimension {} only", self.dimension));
            }
            joined = joined.checked_add(size).ok_or("the joined size overflows")?;
        }
        let mut shape = first.shape.to_vec();
        shape[self.dimension] = joined;
        Ok(vec![TensorType::new(first.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("dimension", i64_number(self.dimension))]
    }
}

impl Builder {
    /// `inputs` joined along `dimension`. See [`Concatenate`].
    pub fn concatenate(&self, inputs: &[Value], dimension: usize) -> Result<Value> {
        self.push_one(Concatenate { dimension }, inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn adds_the_sizes_of_one_dimension() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3])).unwrap();
        let y = b.argument("y", TensorType::new(DType::F32, [2, 5])).unwrap();
        let joined = b.concatenate(&[x, y], 1).unwrap();
        assert_eq!(b.ty(joined), TensorType::new(DType::F32, [2, 8]));
        let error = b.concatenate(&[x, y], 0).unwrap_err();
        assert_eq!(error.problem, "operand 1 may differ from the first in dimension 0 only");
        assert_eq!(b.concatenate(&[], 0).unwrap_err().problem, "takes at least 1 operand, found 0");
    }
}
