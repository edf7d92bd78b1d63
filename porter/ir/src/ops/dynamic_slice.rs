//! `dynamic_slice`: a part of a tensor at a computed place.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// `sizes` elements from computed starts; a start is clamped so that the part stays inside
/// (<https://openxla.org/stablehlo/spec#dynamic_slice>). Operands: the tensor, then one integer
/// scalar a dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicSlice {
    /// The shape of the part.
    pub sizes: Vec<usize>,
}

impl Operation for DynamicSlice {
    fn name(&self) -> &'static str {
        "stablehlo.dynamic_slice"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let (x, starts) = operands.split_first().ok_or("takes a tensor and its starts, found nothing")?;
        starts_fit(x, starts)?;
        part_fits("part", &self.sizes, x)?;
        Ok(vec![TensorType::new(x.dtype, self.sizes.clone())])
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("slice_sizes", i64_array(&self.sizes))]
    }
}

/// One integer scalar a dimension of `x`, all of one type.
pub(super) fn starts_fit(x: &TensorType, starts: &[&TensorType]) -> Result<(), String> {
    check::length("starts", starts, x.shape.rank())?;
    let Some(first) = starts.first() else { return Ok(()) };
    check::integer("starts", first)?;
    starts.iter().try_for_each(|ty| check::scalar("start", ty, first.dtype))
}

/// A shape of `x`'s rank that is nowhere larger.
pub(super) fn part_fits(what: &str, sizes: &[usize], x: &TensorType) -> Result<(), String> {
    if sizes.len() == x.shape.rank() && sizes.iter().zip(x.shape.iter()).all(|(part, whole)| part <= whole) {
        Ok(())
    } else {
        Err(format!("a {what} of {sizes:?} does not fit in {}", x.shape))
    }
}

impl Builder {
    /// The part of `x` of `sizes` at `starts`, one integer scalar a dimension. See [`DynamicSlice`].
    pub fn dynamic_slice(&self, x: Value, starts: &[Value], sizes: &[usize]) -> Result<Value> {
        let operands: Vec<Value> = [&[x], starts].concat();
        self.push_one(DynamicSlice { sizes: sizes.to_vec() }, &operands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn takes_a_start_for_each_dimension() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 9])).unwrap();
        let i = b.argument("i", TensorType::scalar(DType::I32)).unwrap();
        let y = b.dynamic_slice(x, &[i, i], &[1, 9]).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::F32, [1, 9]));
        let problem = |starts: &[Value], sizes| b.dynamic_slice(x, starts, sizes).unwrap_err().problem;
        assert_eq!(problem(&[i], &[1, 9]), "1 starts, expected 2");
        assert_eq!(problem(&[i, i], &[5, 9]), "a part of [5, 9] does not fit in [4, 9]");
        assert_eq!(problem(&[i, x], &[1, 9]), "the start is f32[4, 9], expected i32[]");
    }
}
