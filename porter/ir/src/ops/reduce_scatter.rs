//! `reduce_scatter`: tensors folded over devices, each keeping its part.

use super::{Groups, check, reduce::folds};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_number},
    op::{Operation, RegionType},
};

/// Folds a tensor over the devices of each group and splits the result along `dimension` among them
/// (<https://openxla.org/stablehlo/spec#reduce_scatter>). The region folds two scalars and reads nothing
/// from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceScatter {
    /// The dimension that is split.
    pub dimension: usize,
    /// Who works together.
    pub groups: Groups,
}

impl Operation for ReduceScatter {
    fn name(&self) -> &'static str {
        "stablehlo.reduce_scatter"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        let size = check::dim("scattered", &x.shape, self.dimension)?;
        let members = self.groups.size()?;
        if !size.is_multiple_of(members) {
            let dim = self.dimension;
            return Err(format!("dimension {dim} of {size} does not divide among {members} devices"));
        }
        let [body] = check::regions(regions)?;
        folds("body", body, &[x], &[&TensorType::scalar(x.dtype)])?;
        let mut shape = x.shape.to_vec();
        shape[self.dimension] = size / members;
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = vec![("scatter_dimension", i64_number(self.dimension))];
        attributes.extend(self.groups.global_attributes());
        attributes
    }
}

impl Builder {
    /// This device's part along `dimension` of `x` folded over its group with `body`, which gets two
    /// scalars. See [`ReduceScatter`].
    pub fn reduce_scatter(
        &self,
        x: Value,
        dimension: usize,
        groups: Groups,
        body: impl FnOnce(&Builder, &[Value]) -> Result<Value>,
    ) -> Result<Value> {
        let region = self.fold_region(&[x], |b, args| Ok(vec![body(b, args)?]))?;
        self.push_single(ReduceScatter { dimension, groups }, &[x], &[region])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, ops::Among};

    #[test]
    fn splits_a_dimension_that_divides() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 3])).unwrap();
        let groups = Groups { groups: vec![vec![0, 1]], among: Among::Replicas };
        let add = |b: &Builder, a: &[Value]| b.add(a[0], a[1]);
        let y = b.reduce_scatter(x, 0, groups.clone(), add).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [2, 3]));
        let error = b.reduce_scatter(x, 1, groups, add).unwrap_err();
        assert_eq!(error.problem, "dimension 1 of 3 does not divide among 2 devices");
    }
}
