//! `pad`: a value put around and between the elements.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// Puts a scalar before, after and between the elements of each dimension; a negative `low` or
/// `high` takes elements away (<https://openxla.org/stablehlo/spec#pad>).
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// How many before the first element.
    pub low: Vec<i64>,
    /// How many after the last element.
    pub high: Vec<i64>,
    /// How many between two elements.
    pub interior: Vec<usize>,
}

impl Operation for Pad {
    fn name(&self) -> &'static str {
        "stablehlo.pad"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x, value] = check::operands(operands)?;
        check::scalar("padding value", value, x.dtype)?;
        check::length("low paddings", &self.low, x.shape.rank())?;
        check::length("high paddings", &self.high, x.shape.rank())?;
        check::length("interior paddings", &self.interior, x.shape.rank())?;
        let paddings = self.low.iter().zip(&self.high).zip(&self.interior);
        let mut shape = Vec::with_capacity(x.shape.rank());
        for (dim, (((&low, &high), &interior), &size)) in paddings.zip(x.shape.iter()).enumerate() {
            shape.push(padded(size, low, high, interior).ok_or_else(|| {
                format!("dimension {dim} of {size} padded by {low}, {high} and {interior} inside is below zero or overflows")
            })?);
        }
        Ok(vec![TensorType::new(x.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            ("edge_padding_low", i64_array(&self.low)),
            ("edge_padding_high", i64_array(&self.high)),
            ("interior_padding", i64_array(&self.interior)),
        ]
    }
}

/// The size of a dimension with padding, or `None` where it is negative or overflows.
fn padded(size: usize, low: i64, high: i64, interior: usize) -> Option<usize> {
    let between = size.saturating_sub(1).checked_mul(interior)?;
    let spread = i128::try_from(size.checked_add(between)?).ok()?;
    usize::try_from(spread + i128::from(low) + i128::from(high)).ok()
}

impl Builder {
    /// `x` with the scalar `value` around and between its elements. See [`Pad`].
    pub fn pad(&self, x: Value, value: Value, low: &[i64], high: &[i64], interior: &[usize]) -> Result<Value> {
        let op = Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec() };
        self.push_one(op, &[x, value])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn adds_around_and_between() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 3])).unwrap();
        let zero = b.argument("zero", TensorType::scalar(DType::F32)).unwrap();
        let y = b.pad(x, zero, &[1, -1], &[2, 0], &[0, 2]).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [7, 6]));
        let error = b.pad(x, zero, &[-3, 0], &[-2, 0], &[0, 0]).unwrap_err();
        assert_eq!(
            error.problem,
            "dimension 0 of 4 padded by -3, -2 and 0 inside is below zero or overflows"
        );
        let error = b.pad(x, x, &[0, 0], &[0, 0], &[0, 0]).unwrap_err();
        assert_eq!(error.problem, "the padding value is f32[4, 3], expected f32[]");
    }
}
