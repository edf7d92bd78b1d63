//! `clamp`: elements held between two bounds.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// `minimum(maximum(x, min), max)`; each bound is a scalar or of `x`'s shape
/// (<https://openxla.org/stablehlo/spec#clamp>).
#[derive(Clone, Debug, PartialEq)]
pub struct Clamp;

impl Operation for Clamp {
    fn name(&self) -> &'static str {
        "stablehlo.clamp"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [min, x, max] = check::operands(operands)?;
        for (what, bound) in [("lower", min), ("upper", max)] {
            let scalar = TensorType::scalar(x.dtype);
            if bound != x && *bound != scalar {
                return Err(format!("the {what} bound is {bound}, expected {scalar} or {x}"));
            }
        }
        Ok(vec![x.clone()])
    }
}

impl Builder {
    /// `x` held between `min` and `max`. See [`Clamp`].
    pub fn clamp(&self, min: Value, x: Value, max: Value) -> Result<Value> {
        self.push_one(Clamp, &[min, x, max])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn takes_scalar_and_full_bounds() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::I32, [4])).unwrap();
        let low = b.argument("low", TensorType::scalar(DType::I32)).unwrap();
        let y = b.clamp(low, x, x).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        let float = b.argument("float", TensorType::scalar(DType::F32)).unwrap();
        let error = b.clamp(low, x, float).unwrap_err();
        assert_eq!(error.problem, "the upper bound is f32[], expected i32[] or i32[4]");
    }
}
