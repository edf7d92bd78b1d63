//! `if`: one of two branches.

use super::{case::branches_agree, check};
use crate::{
    Builder, DType, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// Runs the first region if the operand, a boolean scalar, is true, else the second
/// (<https://openxla.org/stablehlo/spec#if>). The regions take no arguments, return the same types and
/// may read values from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct If;

impl Operation for If {
    fn name(&self) -> &'static str {
        "stablehlo.if"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [pred] = check::operands(operands)?;
        check::scalar("predicate", pred, DType::Bool)?;
        check::regions::<2>(regions)?;
        branches_agree(regions)
    }

    fn regions_capture(&self) -> bool {
        true
    }
}

impl Builder {
    /// What `on_true` or `on_false` returns, by `pred`. See [`If`].
    pub fn if_(
        &self,
        pred: Value,
        on_true: impl FnOnce(&Builder) -> Result<Vec<Value>>,
        on_false: impl FnOnce(&Builder) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let on_true = self.region(&[], |b, _| on_true(b))?;
        let on_false = self.region(&[], |b, _| on_false(b))?;
        self.push(If, &[pred], &[on_true, on_false])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_return_one_type() {
        let b = Builder::new("main");
        let pred = b.argument("pred", TensorType::scalar(DType::Bool)).unwrap();
        let x = b.argument("x", TensorType::new(DType::F32, [2])).unwrap();
        let y = b.if_(pred, |b| Ok(vec![b.negate(x)?]), |_| Ok(vec![x])).unwrap();
        assert_eq!(b.ty(y[0]), b.ty(x));
        let error = b.if_(pred, |_| Ok(vec![x]), |_| Ok(vec![pred])).unwrap_err();
        assert_eq!(error.problem, "the branch 1 returns (bool[]), expected (f32[2])");
        let error = b.if_(x, |_| Ok(vec![x]), |_| Ok(vec![x])).unwrap_err();
        assert_eq!(error.problem, "the predicate is f32[2], expected bool[]");
    }
}
