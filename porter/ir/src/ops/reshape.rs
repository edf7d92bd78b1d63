//! `reshape`: the same elements in row-major order under another shape.

use super::check;
use crate::{
    Builder, Result, Shape, TensorType, Value,
    op::{Operation, RegionType},
};

/// The elements of `x` in row-major order with another shape
/// (<https://openxla.org/stablehlo/spec#reshape>).
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    /// The shape of the result.
    pub shape: Shape,
}

impl Operation for Reshape {
    fn name(&self) -> &'static str {
        "stablehlo.reshape"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        if x.shape.checked_elements() != self.shape.checked_elements() {
            let (found, expected) = (x.shape.elements(), self.shape.elements());
            return Err(format!("{found} elements do not fit {}, which has {expected}", self.shape));
        }
        Ok(vec![TensorType::new(x.dtype, self.shape.clone())])
    }
}

impl Builder {
    /// `x` with another shape of as many elements: `x` itself where it has it already. See [`Reshape`].
    pub fn reshape(&self, x: Value, shape: impl Into<Shape>) -> Result<Value> {
        let shape = shape.into();
        if self.shape(x) == shape { Ok(x) } else { self.push_one(Reshape { shape }, &[x]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn keeps_the_number_of_elements() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 6])).unwrap();
        let y = b.reshape(x, [3, 4]).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [3, 4]));
        assert_eq!(b.reshape(x, [2, 6]).unwrap(), x);
        let error = b.reshape(x, [5]).unwrap_err();
        assert_eq!(error.problem, "12 elements do not fit [5], which has 5");
    }
}
