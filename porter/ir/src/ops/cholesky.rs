//! `cholesky`: the Cholesky decomposition of matrices.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// The triangular factor of the symmetric, positive definite matrices in the last two dimensions
/// (<https://openxla.org/stablehlo/spec#cholesky>). The other triangle of the result is undefined.
#[derive(Clone, Debug, PartialEq)]
pub struct Cholesky {
    /// Whether the lower triangle is read and given, or the upper one.
    pub lower: bool,
}

impl Operation for Cholesky {
    fn name(&self) -> &'static str {
        "stablehlo.cholesky"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [a] = check::operands(operands)?;
        check::float("matrices", a)?;
        square(a)?;
        Ok(vec![a.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("lower", self.lower.to_string())]
    }
}

/// The last two dimensions are equal.
pub(super) fn square(ty: &TensorType) -> Result<usize, String> {
    match ty.shape[..] {
        [.., rows, columns] if rows == columns => Ok(rows),
        _ => Err(format!("the matrices are {}, expected two equal last dimensions", ty.shape)),
    }
}

impl Builder {
    /// The lower or upper Cholesky factor of `a`. See [`Cholesky`].
    pub fn cholesky(&self, a: Value, lower: bool) -> Result<Value> {
        self.push_one(Cholesky { lower }, &[a])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn keeps_the_type_of_square_matrices() {
        let b = Builder::new("main");
        let a = b.argument("a", TensorType::new(DType::F32, [2, 3, 3])).unwrap();
        let y = b.cholesky(a, true).unwrap();
        assert_eq!(b.ty(y), b.ty(a));
        let wide = b.argument("wide", TensorType::new(DType::F32, [3, 4])).unwrap();
        let error = b.cholesky(wide, true).unwrap_err();
        assert_eq!(error.problem, "the matrices are [3, 4], expected two equal last dimensions");
    }
}
