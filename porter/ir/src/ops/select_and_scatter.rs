//! `select_and_scatter`: values scattered to the element that each window selects.

use super::{Window, check, reduce::folds};
use crate::{
    Builder, DType, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// In each window of the operand one element is selected, and the source's value for that window is
/// folded into its place (<https://openxla.org/stablehlo/spec#select_and_scatter>): the reverse of a max
/// pool. Operands: the operand, the source, the initial value. Regions: whether the first of two scalars
/// is selected; the fold of two scalars.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectAndScatter {
    /// The size of the window in each dimension.
    pub sizes: Vec<usize>,
    /// The distance between two windows.
    pub strides: Vec<usize>,
    /// What is put before and after.
    pub padding: Vec<(i64, i64)>,
}

impl SelectAndScatter {
    fn window(&self) -> Window {
        let (strides, padding) = (self.strides.clone(), self.padding.clone());
        Window { strides, padding, ..Window::plain(self.sizes.len()) }
    }
}

impl Operation for SelectAndScatter {
    fn name(&self) -> &'static str {
        "stablehlo.select_and_scatter"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [operand, source, init] = check::operands(operands)?;
        let places = self.window().places(&operand.shape, &self.sizes)?;
        check::is("source", source, &TensorType::new(operand.dtype, places))?;
        let [select, scatter] = check::regions(regions)?;
        let scalar = TensorType::scalar(operand.dtype);
        check::region("selection", select, &[scalar.clone(), scalar], &[TensorType::scalar(DType::Bool)])?;
        folds("fold", scatter, &[operand], &[init])?;
        Ok(vec![operand.clone()])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let window = self.window();
        vec![
            ("window_dimensions", i64_array(&self.sizes)),
            window.strides_attribute(),
            window.padding_attribute(),
        ]
    }
}

impl Builder {
    /// Scatters `source` to the elements of `operand` that `select` chooses, folded from `init` with
    /// `fold`. See [`SelectAndScatter`].
    pub fn select_and_scatter(
        &self,
        op: SelectAndScatter,
        [operand, source, init]: [Value; 3],
        select: impl FnOnce(&Builder, &[Value]) -> Result<Value>,
        fold: impl FnOnce(&Builder, &[Value]) -> Result<Value>,
    ) -> Result<Value> {
        let select = self.fold_region(&[operand], |b, args| Ok(vec![select(b, args)?]))?;
        let fold = self.fold_region(&[operand], |b, args| Ok(vec![fold(b, args)?]))?;
        self.push_single(op, &[operand, source, init], &[select, fold])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    #[test]
    fn source_has_one_value_a_window() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4])).unwrap();
        let source = b.argument("source", TensorType::new(DType::F32, [2])).unwrap();
        let zero = b.full(TensorType::scalar(DType::F32), 0.0).unwrap();
        let op = SelectAndScatter { sizes: vec![2], strides: vec![2], padding: vec![(0, 0)] };
        let larger = |b: &Builder, a: &[Value]| b.compare(a[0], a[1], Direction::Ge);
        let add = |b: &Builder, a: &[Value]| b.add(a[0], a[1]);
        let y = b.select_and_scatter(op.clone(), [x, source, zero], larger, add).unwrap();
        assert_eq!(b.ty(y), b.ty(x));
        let error = b.select_and_scatter(op, [x, x, zero], larger, add).unwrap_err();
        assert_eq!(error.problem, "the source is f32[4], expected f32[2]");
    }
}
