//! `all_gather`: the tensors of several devices joined.

use super::{Groups, check};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_number},
    op::{Operation, RegionType},
};

/// Joins the tensors of a group's devices along `dimension`; every one gets the result
/// (<https://openxla.org/stablehlo/spec#all_gather>).
#[derive(Clone, Debug, PartialEq)]
pub struct AllGather {
    /// The dimension that grows by the size of a group.
    pub dimension: usize,
    /// Who works together.
    pub groups: Groups,
}

impl Operation for AllGather {
    fn name(&self) -> &'static str {
        "stablehlo.all_gather"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        let size = check::dim("gathered", &x.shape, self.dimension)?;
        let mut shape = x.shape.to_vec();
        shape[self.dimension] = size.checked_mul(self.groups.size()?).ok_or("the joined size overflows")?;
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![("all_gather_dim", i64_number(self.dimension))];
        attributes.extend(self.groups.global_attributes());
        attributes
    }
}

impl Builder {
    /// The `x` of each group's devices joined along `dimension`. See [`AllGather`].
    pub fn all_gather(&self, x: Value, dimension: usize, groups: Groups) -> Result<Value> {
        self.push_one(AllGather { dimension, groups }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, ops::Among};

    #[test]
    fn grows_by_the_size_of_a_group() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 3])).unwrap();
        let groups = Groups { groups: vec![vec![0, 2], vec![1, 3]], among: Among::Replicas };
        let y = b.all_gather(x, 0, groups.clone()).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [8, 3]));
        let error = b.all_gather(x, 2, groups).unwrap_err();
        assert_eq!(error.problem, "gathered dimension 2 is not in [4, 3]");
    }
}
