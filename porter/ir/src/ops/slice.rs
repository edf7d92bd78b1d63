//! `slice`: a part of a tensor with fixed bounds.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// In each dimension the elements `starts, starts + strides, ...` below `limits`
/// (<https://openxla.org/stablehlo/spec#slice>).
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// The first index of each dimension.
    pub starts: Vec<usize>,
    /// The index after the last one.
    pub limits: Vec<usize>,
    /// The distance between two; at least 1.
    pub strides: Vec<usize>,
}

impl Operation for Slice {
    fn name(&self) -> &'static str {
        "stablehlo.slice"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        check::length("starts", &self.starts, x.shape.rank())?;
        check::length("limits", &self.limits, x.shape.rank())?;
        check::length("strides", &self.strides, x.shape.rank())?;
        let bounds = self.starts.iter().zip(&self.limits).zip(&self.strides);
        let mut shape = Vec::with_capacity(x.shape.rank());
        for (dim, (((&start, &limit), &stride), &size)) in bounds.zip(x.shape.iter()).enumerate() {
            if start > limit || limit > size || stride == 0 {
                return Err(format!(
                    "dimension {dim}: {start}..{limit} by {stride} is not within 0..{size} by at least 1"
                ));
            }
            shape.push((limit - start).div_ceil(stride));
        }
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            ("start_indices", i64_array(&self.starts)),
            ("limit_indices", i64_array(&self.limits)),
            ("strides", i64_array(&self.strides)),
        ]
    }
}

impl Builder {
    /// The elements of `x` from `starts` to below `limits`, every `strides`-th. See [`Slice`].
    pub fn slice(&self, x: Value, starts: &[usize], limits: &[usize], strides: &[usize]) -> Result<Value> {
        let op = Slice { starts: starts.to_vec(), limits: limits.to_vec(), strides: strides.to_vec() };
        self.push_one(op, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn counts_strided_elements() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 9])).unwrap();
        let y = b.slice(x, &[1, 2], &[3, 9], &[1, 3]).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [2, 3]));
        let error = b.slice(x, &[0, 0], &[4, 10], &[1, 1]).unwrap_err();
        assert_eq!(error.problem, "dimension 1: 0..10 by 1 is not within 0..9 by at least 1");
        assert_eq!(b.slice(x, &[0], &[4, 9], &[1, 1]).unwrap_err().problem, "1 starts, expected 2");
    }
}
