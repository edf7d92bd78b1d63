//! `all_reduce`: tensors folded over devices.

use super::{Groups, check, reduce::folds};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// Folds a tensor over the devices of each group; every one gets the result
/// (<https://openxla.org/stablehlo/spec#all_reduce>). The region folds two scalars and reads nothing from
/// outside.
#[derive(Clone, Debug, PartialEq)]
pub struct AllReduce {
    /// Who works together.
    pub groups: Groups,
}

impl Operation for AllReduce {
    fn name(&self) -> &'static str {
        "stablehlo.all_reduce"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        self.groups.size()?;
        let [body] = check::regions(regions)?;
        folds("body", body, &[x], &[&TensorType::scalar(x.dtype)])?;
        Ok(vec![x.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        self.groups.global_attributes()
    }
}

impl Builder {
    /// `x` folded over each group with `body`, which gets two scalars. See [`AllReduce`].
    pub fn all_reduce(
        &self,
        x: Value,
        groups: Groups,
        body: impl FnOnce(&Builder, &[Value]) -> Result<Value>,
    ) -> Result<Value> {
        let region = self.fold_region(&[x], |b, args| Ok(vec![body(b, args)?]))?;
        self.push_single(AllReduce { groups }, &[x], &[region])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DType, ops::Among};

    #[test]
    fn keeps_the_type() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4])).unwrap();
        let groups = Groups { groups: vec![vec![0, 1]], among: Among::Devices { channel: 1 } };
        let y = b.all_reduce(x, groups.clone(), |b, a| b.add(a[0], a[1])).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        let error = b.all_reduce(x, groups, |b, a| b.convert(a[0], DType::F64)).unwrap_err();
        assert_eq!(error.problem, "the body returns (f64[]), expected (f32[])");
    }
}
