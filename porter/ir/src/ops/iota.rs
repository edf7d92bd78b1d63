//! `iota`: the numbers from zero along one dimension.

use super::check;
use crate::{
    Builder, Kind, Result, TensorType, Value,
    attribute::{Attribute, i64_number},
    op::{Operation, RegionType},
};

/// Each element is its index along `dimension` (<https://openxla.org/stablehlo/spec#iota>).
#[derive(Clone, Debug, PartialEq)]
pub struct Iota {
    /// The type of the result.
    pub ty: TensorType,
    /// The dimension that is counted.
    pub dimension: usize,
}

impl Operation for Iota {
    fn name(&self) -> &'static str {
        "stablehlo.iota"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [] = check::operands(operands)?;
        check::dim("counted", &self.ty.shape, self.dimension)?;
        if self.ty.dtype.kind() == Kind::Bool {
            return Err(format!("counts integers or floats, found {}", self.ty));
        }
        Ok(vec![self.ty.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("iota_dimension", i64_number(self.dimension))]
    }
}

impl Builder {
    /// A tensor of type `ty` whose elements are their index along `dimension`. See [`Iota`].
    pub fn iota(&self, ty: TensorType, dimension: usize) -> Result<Value> {
        self.push_one(Iota { ty, dimension }, &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn counts_along_a_dimension_that_exists() {
        let b = Builder::new("main");
        let ty = TensorType::new(DType::I32, [2, 3]);
        let x = b.iota(ty.clone(), 1).unwrap();
        assert_eq!(b.ty(x), ty);
        assert_eq!(b.iota(ty, 2).unwrap_err().problem, "counted dimension 2 is not in [2, 3]");
    }
}
