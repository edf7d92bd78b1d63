//! `case`: one of several branches.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// Runs the region that the operand, an i32 scalar, numbers; the last one where there is none of that
/// number (<https://openxla.org/stablehlo/spec#case>). The regions take no arguments, return the same
/// types and may read values from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Case;

impl Operation for Case {
    fn name(&self) -> &'static str {
        "stablehlo.case"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [index] = check::operands(operands)?;
        check::scalar("index", index, DType::I32)?;
        branches_agree(regions)
    }

    fn regions_capture(&self) -> bool {
        true
    }
}

/// At least one region, each without arguments and with the results of the first.
pub(super) fn branches_agree(regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
    let first = regions.first().ok_or("takes at least 1 region, found 0")?;
    for (i, region) in regions.iter().enumerate() {
        check::region(&format!("branch {i}"), region, &[], &first.results)?;
    }
    Ok(first.results.clone())
}

/// Builds one branch of [`Builder::case`].
pub type Branch<'a> = &'a dyn Fn(&Builder) -> Result<Vec<Value>>;

impl Builder {
    /// What the branch numbered `index` returns. See [`Case`].
    pub fn case(&self, index: Value, branches: &[Branch<'_>]) -> Result<Vec<Value>> {
        let regions = branches.iter().map(|branch| self.region(&[], |b, _| branch(b)));
        let regions = regions.collect::<Result<Vec<_>>>()?;
        self.push(Case, &[index], &regions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_return_one_type() {
        let b = Builder::new("main");
        let index = b.argument("index", TensorType::scalar(DType::I32)).unwrap();
        let x = b.argument("x", TensorType::new(DType::F32, [2])).unwrap();
        let y = b.case(index, &[&|b| Ok(vec![b.negate(x)?]), &|_| Ok(vec![x])]).unwrap();
        assert_eq!(b.ty(y[0]), b.ty(x));
        let error = b.case(index, &[]).unwrap_err();
        assert_eq!(error.problem, "takes at least 1 region, found 0");
        let error = b.case(x, &[&|_| Ok(vec![x])]).unwrap_err();
        assert_eq!(error.problem, "the index is f32[2], expected i32[]");
    }
}
