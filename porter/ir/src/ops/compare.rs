//! `compare`: element-wise comparison.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    attribute::Attribute,
    op::{Operation, RegionType},
};

/// Which comparison. With NaN on either side all but `Ne` are false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Direction {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Direction {
    fn mlir(self) -> &'static str {
        match self {
            Direction::Eq => "EQ",
            Direction::Ne => "NE",
            Direction::Lt => "LT",
            Direction::Le => "LE",
            Direction::Gt => "GT",
            Direction::Ge => "GE",
        }
    }
}

/// Compares two tensors of one type (<https://openxla.org/stablehlo/spec#compare>).
#[derive(Clone, Debug, PartialEq)]
pub struct Compare {
    /// Which comparison.
    pub direction: Direction,
}

impl Operation for Compare {
    fn name(&self) -> &'static str {
        "stablehlo.compare"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [lhs, rhs] = check::operands(operands)?;
        if lhs != rhs {
            return Err("both operands must have the same type".to_owned());
        }
        Ok(vec![TensorType::new(DType::Bool, lhs.shape.clone())])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let direction = format!("#stablehlo<comparison_direction {}>", self.direction.mlir());
        vec![("comparison_direction", direction)]
    }
}

impl Builder {
    /// Whether `lhs` stands in `direction` to `rhs`, both of one type. See [`Compare`].
    pub fn compare(&self, lhs: Value, rhs: Value, direction: Direction) -> Result<Value> {
        self.push_one(Compare { direction }, &[lhs, rhs])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_booleans_and_refuses_a_mismatch() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3])).unwrap();
        let y = b.compare(x, x, Direction::Lt).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::Bool, [2, 3]));
        let error = b.compare(x, y, Direction::Eq).unwrap_err();
        assert_eq!(
            error.to_string(),
            "(top level): stablehlo.compare(f32[2, 3], bool[2, 3]): both operands must have the same type"
        );
    }
}
