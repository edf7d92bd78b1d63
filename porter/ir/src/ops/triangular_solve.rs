//! `triangular_solve`: linear equations with a triangular matrix.

use super::{check, cholesky::square};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// Solves `op(a) x = b`, or `x op(a) = b`, for `x`, in the last two dimensions
/// (<https://openxla.org/stablehlo/spec#triangular_solve>).
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "they are the specification's attributes")]
pub struct TriangularSolve {
    /// Whether `a` stands on the left of `x`.
    pub left_side: bool,
    /// Whether the lower triangle of `a` is read, or the upper one.
    pub lower: bool,
    /// Whether the diagonal of `a` is taken as ones and not read.
    pub unit_diagonal: bool,
    /// Whether `op` transposes `a`.
    pub transpose: bool,
}

impl Operation for TriangularSolve {
    fn name(&self) -> &'static str {
        "stablehlo.triangular_solve"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [a, b] = check::operands(operands)?;
        check::float("matrices", a)?;
        let size = square(a)?;
        let rank = a.shape.rank();
        if b.dtype != a.dtype || b.shape.rank() != rank || b.shape[..rank - 2] != a.shape[..rank - 2] {
            return Err("both operands must have one element type and the same batch dimensions".to_owned());
        }
        let shared = if self.left_side { rank - 2 } else { rank - 1 };
        if b.shape[shared] != size {
            return Err(format!("dimension {shared} of b is {}, expected {size}", b.shape[shared]));
        }
        Ok(vec![b.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let transpose = if self.transpose { "TRANSPOSE" } else { "NO_TRANSPOSE" };
        vec![
            ("left_side", self.left_side.to_string()),
            ("lower", self.lower.to_string()),
            ("unit_diagonal", self.unit_diagonal.to_string()),
            ("transpose_a", format!("#stablehlo<transpose {transpose}>")),
        ]
    }
}

impl Builder {
    /// The solution of the triangular equations with matrix `a` and right side `b`. See
    /// [`TriangularSolve`].
    pub fn triangular_solve(&self, op: TriangularSolve, a: Value, b: Value) -> Result<Value> {
        self.push_one(op, &[a, b])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn solution_has_the_type_of_the_right_side() {
        let b = Builder::new("main");
        let a = b.argument("a", TensorType::new(DType::F32, [3, 3])).unwrap();
        let right = b.argument("right", TensorType::new(DType::F32, [3, 5])).unwrap();
        let op = TriangularSolve { left_side: true, lower: true, unit_diagonal: false, transpose: false };
        let x = b.triangular_solve(op.clone(), a, right).unwrap();
        assert_eq!(b.ty(x), b.ty(right));
        let op = TriangularSolve { left_side: false, ..op };
        let error = b.triangular_solve(op, a, right).unwrap_err();
        assert_eq!(error.problem, "dimension 1 of b is 5, expected 3");
    }
}
