//! `all_to_all`: parts exchanged among devices.

use super::{Groups, check};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_number},
    op::{Operation, RegionType},
};

/// Each device splits its tensor along one dimension, sends a part to every device of its group, and
/// joins what it gets along another (<https://openxla.org/stablehlo/spec#all_to_all>).
#[derive(Clone, Debug, PartialEq)]
pub struct AllToAll {
    /// The dimension that is split into as many parts as a group has devices.
    pub split: usize,
    /// The dimension that the parts are joined along.
    pub concat: usize,
    /// Who works together.
    pub groups: Groups,
}

impl Operation for AllToAll {
    fn name(&self) -> &'static str {
        "stablehlo.all_to_all"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        let members = self.groups.size()?;
        let size = check::dim("split", &x.shape, self.split)?;
        check::dim("joined", &x.shape, self.concat)?;
        if !size.is_multiple_of(members) {
            return Err(format!("dimension {} of {size} does not divide among {members} devices", self.split));
        }
        let mut shape = x.shape.to_vec();
        shape[self.split] = size / members;
        shape[self.concat] = shape[self.concat].checked_mul(members).ok_or("the joined size overflows")?;
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let count = self.groups.groups.first().map_or(0, Vec::len);
        let mut attributes = vec![
            ("split_dimension", i64_number(self.split)),
            ("concat_dimension", i64_number(self.concat)),
            ("split_count", i64_number(count)),
        ];
        attributes.extend(self.groups.attributes());
        attributes
    }
}

impl Builder {
    /// `x` split along `split`, exchanged in each group and joined along `concat`. See [`AllToAll`].
    pub fn all_to_all(&self, x: Value, split: usize, concat: usize, groups: Groups) -> Result<Value> {
        self.push_one(AllToAll { split, concat, groups }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, ops::Among};

    #[test]
    fn one_dimension_shrinks_and_one_grows() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 3])).unwrap();
        let groups = Groups { groups: vec![vec![0, 1]], among: Among::Replicas };
        let y = b.all_to_all(x, 0, 1, groups.clone()).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [2, 6]));
        let error = b.all_to_all(x, 1, 0, groups).unwrap_err();
        assert_eq!(error.problem, "dimension 1 of 3 does not divide among 2 devices");
    }
}
