//! `convert`: another element type, the same values as far as it can hold them.

use super::check;
use crate::{
    Builder, DType, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// Converts each element to `dtype` (<https://openxla.org/stablehlo/spec#convert>). Floats round to
/// the nearest, ties to even; floats to integers truncate; booleans are 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Convert {
    /// The element type of the result.
    pub dtype: DType,
}

impl Operation for Convert {
    fn name(&self) -> &'static str {
        "stablehlo.convert"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x] = check::operands(operands)?;
        Ok(vec![TensorType::new(self.dtype, x.shape.clone())])
    }
}

impl Builder {
    /// `x` with element type `dtype`: `x` itself where it has it already. See [`Convert`].
    pub fn convert(&self, x: Value, dtype: DType) -> Result<Value> {
        if self.dtype(x) == dtype { Ok(x) } else { self.push_one(Convert { dtype }, &[x]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_the_element_type_only_where_it_differs() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::BF16, [2])).unwrap();
        assert_eq!(b.convert(x, DType::BF16).unwrap(), x);
        let y = b.convert(x, DType::F32).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [2]));
        let error = b.push(Convert { dtype: DType::F32 }, &[x, x], &[]).unwrap_err();
        assert_eq!(error.problem, "takes 1 operand, found 2");
    }
}
