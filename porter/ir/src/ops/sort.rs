//! `sort`: elements put in order along a dimension.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    attribute::{Attribute, i64_number},
    op::{Operation, RegionType},
};

/// Sorts tensors of one shape together along `dimension`
/// (<https://openxla.org/stablehlo/spec#sort>). The region takes, for each tensor, two elements, and
/// tells whether the first ones come before the second ones; it reads nothing from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Sort {
    /// The dimension that is sorted along.
    pub dimension: usize,
    /// Whether equal elements keep their order.
    pub stable: bool,
}

impl Operation for Sort {
    fn name(&self) -> &'static str {
        "stablehlo.sort"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let shape = check::one_shape(operands)?;
        check::dim("sorted", shape, self.dimension)?;
        let [comparator] = check::regions(regions)?;
        let pairs: Vec<TensorType> =
            check::scalars(operands).into_iter().flat_map(|ty| [ty.clone(), ty]).collect();
        check::region("comparator", comparator, &pairs, &[TensorType::scalar(DType::Bool)])?;
        Ok(operands.iter().map(|&ty| ty.clone()).collect())
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("dimension", i64_number(self.dimension)), ("is_stable", self.stable.to_string())]
    }
}

impl Builder {
    /// `inputs` sorted together along `dimension`: `comparator` gets two elements of each and says
    /// whether the first ones come first. See [`Sort`].
    pub fn sort(
        &self,
        inputs: &[Value],
        dimension: usize,
        stable: bool,
        comparator: impl FnOnce(&Builder, &[Value]) -> Result<Value>,
    ) -> Result<Vec<Value>> {
        let scalars = inputs.iter().map(|&v| TensorType::scalar(self.dtype(v)));
        let pairs: Vec<TensorType> = scalars.flat_map(|ty| [ty.clone(), ty]).collect();
        let region = self.region(&pairs, |b, args| Ok(vec![comparator(b, args)?]))?;
        self.push(Sort { dimension, stable }, inputs, &[region])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    #[test]
    fn keeps_all_types() {
        let b = Builder::new("main");
        let keys = b.argument("keys", TensorType::new(DType::F32, [2, 3])).unwrap();
        let ids = b.iota(TensorType::new(DType::I32, [2, 3]), 1).unwrap();
        let sorted = b.sort(&[keys, ids], 1, true, |b, a| b.compare(a[0], a[1], Direction::Gt)).unwrap();
        assert_eq!(b.ty(sorted[1]), b.ty(ids));
        let error = b.sort(&[keys], 2, true, |b, a| b.compare(a[0], a[1], Direction::Gt)).unwrap_err();
        assert_eq!(error.problem, "sorted dimension 2 is not in [2, 3]");
        let error = b.sort(&[keys], 1, true, |_, a| Ok(a[0])).unwrap_err();
        assert_eq!(error.problem, "the comparator returns (f32[]), expected (bool[])");
    }
}
