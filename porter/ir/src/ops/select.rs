//! `select`: one of two tensors by element.

use super::check;
use crate::{
    Builder, DType, Result, Shape, TensorType, Value,
    op::{Operation, RegionType},
};

/// `on_true` where `pred` is true, else `on_false`; `pred` may be a scalar
/// (<https://openxla.org/stablehlo/spec#select>).
#[derive(Clone, Debug, PartialEq)]
pub struct Select;

impl Operation for Select {
    fn name(&self) -> &'static str {
        "stablehlo.select"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [pred, on_true, on_false] = check::operands(operands)?;
        if on_true != on_false {
            return Err("both choices must have the same type".to_owned());
        }
        let fits = pred.shape == Shape::scalar() || pred.shape == on_true.shape;
        if pred.dtype != DType::Bool || !fits {
            return Err(format!("the predicate is {pred}, expected bool[] or bool{}", on_true.shape));
        }
        Ok(vec![on_true.clone()])
    }
}

impl Builder {
    /// `on_true` where `pred` is true, else `on_false`. See [`Select`].
    pub fn select(&self, pred: Value, on_true: Value, on_false: Value) -> Result<Value> {
        self.push_one(Select, &[pred, on_true, on_false])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_by_element_or_whole() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [2, 3])).unwrap();
        let each = b.argument("each", TensorType::new(DType::Bool, [2, 3])).unwrap();
        let whole = b.argument("whole", TensorType::scalar(DType::Bool)).unwrap();
        for pred in [each, whole] {
            let y = b.select(pred, x, x).unwrap();
            assert_eq!(b.ty(y), b.ty(x));
        }
        let error = b.select(x, x, x).unwrap_err();
        assert_eq!(error.problem, "the predicate is f32[2, 3], expected bool[] or bool[2, 3]");
        assert_eq!(b.select(each, x, each).unwrap_err().problem, "both choices must have the same type");
    }
}
