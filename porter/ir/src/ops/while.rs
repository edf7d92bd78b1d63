//! `while`: a loop.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// Runs the body while the condition holds (<https://openxla.org/stablehlo/spec#while>). Regions: the
/// condition, from the loop's values to one boolean; the body, from the values to the next ones.
/// Both may read values from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct While;

impl Operation for While {
    fn name(&self) -> &'static str {
        "stablehlo.while"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [condition, body] = check::regions(regions)?;
        let types: Vec<TensorType> = operands.iter().map(|&ty| ty.clone()).collect();
        check::region("condition", condition, &types, &[TensorType::scalar(DType::Bool)])?;
        check::region("body", body, &types, &types)?;
        Ok(types)
    }

    fn regions_capture(&self) -> bool {
        true
    }
}

impl Builder {
    /// The values after `body` ran from `init` for as long as `condition` held. See [`While`].
    pub fn while_(
        &self,
        init: &[Value],
        condition: impl FnOnce(&Builder, &[Value]) -> Result<Value>,
        body: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let types: Vec<TensorType> = init.iter().map(|&v| self.ty(v)).collect();
        let condition = self.region(&types, |b, args| Ok(vec![condition(b, args)?]))?;
        let body = self.region(&types, body)?;
        self.push(While, init, &[condition, body])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    #[test]
    fn keeps_the_types_of_its_values_and_may_capture() {
        let b = Builder::new("main");
        let n = b.argument("n", TensorType::scalar(DType::I32)).unwrap();
        let x = b.argument("x", TensorType::new(DType::F32, [2])).unwrap();
        let more = |b: &Builder, args: &[Value]| b.compare(args[0], n, Direction::Lt);
        let zero = b.full_like(n, 0.0).unwrap();
        let results = b
            .while_(&[zero, x], more, |b, a| Ok(vec![b.add_scalar(a[0], 1.0)?, b.add(a[1], x)?]))
            .unwrap();
        assert_eq!(b.ty(results[1]), b.ty(x));

        let error = b.while_(&[zero], more, |b, a| Ok(vec![b.convert(a[0], DType::I64)?])).unwrap_err();
        assert_eq!(error.problem, "the body returns (i64[]), expected (i32[])");
        let error = b.while_(&[zero], |_, a| Ok(a[0]), |_, a| Ok(a.to_vec())).unwrap_err();
        assert_eq!(error.problem, "the condition returns (i32[]), expected (bool[])");
    }
}
