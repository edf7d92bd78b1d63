//! `reduce_window`: windows folded by a function (pooling).

use super::{
    Window, check,
    reduce::{folds, inputs_and_inits},
};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// Folds each window of one or more tensors of one shape, each from its initial value
/// (<https://openxla.org/stablehlo/spec#reduce_window>). Operands and region are those of
/// [`Reduce`](super::Reduce).
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceWindow {
    /// The size of the window in each dimension.
    pub sizes: Vec<usize>,
    /// How it slides.
    pub window: Window,
}

impl Operation for ReduceWindow {
    fn name(&self) -> &'static str {
        "stablehlo.reduce_window"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let (inputs, inits) = inputs_and_inits(operands)?;
        let places = self.window.places(check::one_shape(inputs)?, &self.sizes)?;
        let [body] = check::regions(regions)?;
        folds("body", body, inputs, inits)?;
        Ok(inputs.iter().map(|ty| TensorType::new(ty.dtype, places.clone())).collect())
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![
            ("window_dimensions", i64_array(&self.sizes)),
            self.window.strides_attribute(),
            ("base_dilations", i64_array(&self.window.base_dilations)),
            ("window_dilations", i64_array(&self.window.window_dilations)),
            self.window.padding_attribute(),
        ]
    }
}

impl Builder {
    /// Folds windows of `sizes` over `inputs` from `inits` with `body`. See [`ReduceWindow`].
    pub fn reduce_window(
        &self,
        inputs: &[Value],
        inits: &[Value],
        sizes: &[usize],
        window: Window,
        body: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let region = self.fold_region(inputs, body)?;
        let op = ReduceWindow { sizes: sizes.to_vec(), window };
        self.push(op, &[inputs, inits].concat(), &[region])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn has_one_element_a_place() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 6])).unwrap();
        let zero = b.full(TensorType::scalar(DType::F32), 0.0).unwrap();
        let window = Window { strides: vec![2, 2], ..Window::plain(2) };
        let add = |b: &Builder, a: &[Value]| Ok(vec![b.add(a[0], a[1])?]);
        let y = b.reduce_window(&[x], &[zero], &[2, 2], window.clone(), add).unwrap();
        assert_eq!(b.ty(y[0]), TensorType::new(DType::F32, [2, 3]));
        let error = b.reduce_window(&[x], &[zero], &[2], window, add).unwrap_err();
        assert_eq!(error.problem, "1 window sizes, expected 2");
    }
}
