//! `dynamic_update_slice`: a part of a tensor replaced at a computed place.

use super::{
    check,
    dynamic_slice::{part_fits, starts_fit},
};
use crate::{
    Builder, Result, TensorType, Value,
    op::{Operation, RegionType},
};

/// The tensor with `update` written at computed starts, which are clamped so that it stays inside
/// (<https://openxla.org/stablehlo/spec#dynamic_update_slice>). Operands: the tensor, the update, then
/// one integer scalar a dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicUpdateSlice;

impl Operation for DynamicUpdateSlice {
    fn name(&self) -> &'static str {
        "stablehlo.dynamic_update_slice"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [x, update, starts @ ..] = operands else {
            return Err(format!("takes a tensor, an update and its starts, found {}", operands.len()));
        };
        starts_fit(x, starts)?;
        part_fits("written part", &update.shape, x)?;
        let expected = TensorType::new(x.dtype, update.shape.clone());
        check::is("update", update, &expected)?;
        Ok(vec![(*x).clone()])
    }
}

impl Builder {
    /// `x` with `update` written at `starts`, one integer scalar a dimension. See
    /// [`DynamicUpdateSlice`].
    pub fn dynamic_update_slice(&self, x: Value, update: Value, starts: &[Value]) -> Result<Value> {
        let operands: Vec<Value> = [&[x, update], starts].concat();
        self.push_one(DynamicUpdateSlice, &operands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn keeps_the_type_of_the_whole() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 9])).unwrap();
        let row = b.argument("row", TensorType::new(DType::F32, [1, 9])).unwrap();
        let i = b.argument("i", TensorType::scalar(DType::I32)).unwrap();
        let y = b.dynamic_update_slice(x, row, &[i, i]).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        let error = b.dynamic_update_slice(row, x, &[i, i]).unwrap_err();
        assert_eq!(error.problem, "a written part of [4, 9] does not fit in [1, 9]");
        let bf16 = b.convert(row, DType::BF16).unwrap();
        let error = b.dynamic_update_slice(x, bf16, &[i, i]).unwrap_err();
        assert_eq!(error.problem, "the update is bf16[1, 9], expected f32[1, 9]");
    }
}
