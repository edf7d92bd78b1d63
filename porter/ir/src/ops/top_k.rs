//! `top_k`: the largest elements of the last dimension and where they are.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    attribute::{Attribute, i64_number},
    op::{Operation, RegionType},
};

/// The `k` largest elements along the last dimension, largest first, and their i32 positions
/// (<https://openxla.org/stablehlo/generated/chlo#chlotop_k_chlotopkop>). Of equal elements the first
/// comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct TopK {
    /// How many.
    pub k: usize,
}

impl Operation for TopK {
    fn name(&self) -> &'static str {
        "chlo.top_k"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        let mut shape = x.shape.to_vec();
        match shape.last_mut() {
            Some(last) if *last >= self.k => *last = self.k,
            _ => return Err(format!("the last dimension of {} has no {} elements", x.shape, self.k)),
        }
        if x.dtype == DType::Bool {
            return Err(format!("orders integers or floats, found {x}"));
        }
        Ok(vec![TensorType::new(x.dtype, shape.clone()), TensorType::new(DType::I32, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("k", i64_number(self.k))]
    }
}

impl Builder {
    /// The `k` largest elements along the last dimension, and their positions. See [`TopK`].
    pub fn top_k(&self, x: Value, k: usize) -> Result<Vec<Value>> {
        self.push(TopK { k }, &[x], &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_values_and_positions() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::BF16, [2, 8])).unwrap();
        let y = b.top_k(x, 3).unwrap();
        assert_eq!(b.ty(y[0]), TensorType::new(DType::BF16, [2, 3]));
        assert_eq!(b.ty(y[1]), TensorType::new(DType::I32, [2, 3]));
        let error = b.top_k(x, 9).unwrap_err();
        assert_eq!(error.problem, "the last dimension of [2, 8] has no 9 elements");
    }
}
