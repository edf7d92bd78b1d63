//! `sharding_constraint`: how a value inside a program lies over the mesh.

use super::check;
use crate::{
    Builder, Result, Sharding, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// Its operand, laid out over the program's mesh as told
/// (<https://openxla.org/shardy/sdy_dialect#sdysharding_constraint_sdyshardingconstraintop>).
#[derive(Clone, Debug, PartialEq)]
pub struct ShardingConstraint {
    /// The layout; the verifier checks it against the mesh.
    pub sharding: Sharding,
}

impl Operation for ShardingConstraint {
    fn name(&self) -> &'static str {
        "sdy.sharding_constraint"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        check::length("dimensions in the sharding", &self.sharding.dims, x.shape.rank())?;
        Ok(vec![x.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("sharding", self.sharding.mlir())]
    }
}

impl Builder {
    /// `x` laid out over the mesh as `sharding` tells. See [`ShardingConstraint`].
    pub fn sharding_constraint(&self, x: Value, sharding: Sharding) -> Result<Value> {
        self.push_one(ShardingConstraint { sharding }, &[x])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn names_axes_for_each_dimension() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 3])).unwrap();
        let sharding = Sharding { dims: vec![vec!["model".to_owned()], vec![]] };
        let y = b.sharding_constraint(x, sharding).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        let error = b.sharding_constraint(x, Sharding { dims: vec![] }).unwrap_err();
        assert_eq!(error.problem, "0 dimensions in the sharding, expected 2");
    }
}
