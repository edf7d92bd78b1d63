//! `reduce`: dimensions folded by a function.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, i64_array},
    op::{Operation, RegionType},
};

/// Folds `dimensions` of one or more tensors of one shape, each from its initial value, in an order
/// that is not defined (<https://openxla.org/stablehlo/spec#reduce>). Operands: the tensors, then as
/// many scalars.
///
/// The region takes the scalars so far, then the scalars of one element, and returns the folded
/// ones; it reads nothing from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Reduce {
    /// The dimensions that are folded away.
    pub dimensions: Vec<usize>,
}

impl Operation for Reduce {
    fn name(&self) -> &'static str {
        "stablehlo.reduce"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let (inputs, inits) = inputs_and_inits(operands)?;
        let shape = check::one_shape(inputs)?;
        check::unique_dims("dimension", shape.rank(), &self.dimensions)?;
        let [body] = check::regions(regions)?;
        folds("body", body, inputs, inits)?;
        let kept = check::rest(shape, &[&self.dimensions]);
        Ok(inputs.iter().map(|ty| TensorType::new(ty.dtype, kept.clone())).collect())
    }

    fn attributes(&self) -> Vec<Attribute> {
        vec![("dimensions", i64_array(&self.dimensions))]
    }
}

/// The operands of a fold: tensors, then an initial scalar for each.
pub(super) fn inputs_and_inits<'o, 't>(
    operands: &'o [&'t TensorType],
) -> Result<(&'o [&'t TensorType], &'o [&'t TensorType]), String> {
    if operands.is_empty() || !operands.len().is_multiple_of(2) {
        return Err(format!("takes as many initial values as tensors, found {} operands", operands.len()));
    }
    Ok(operands.split_at(operands.len() / 2))
}

/// A region that folds scalars of the inputs' types, starting from `inits`.
pub(super) fn folds(
    what: &str,
    region: &RegionType,
    inputs: &[&TensorType],
    inits: &[&TensorType],
) -> Result<(), String> {
    for (input, init) in inputs.iter().zip(inits) {
        check::scalar("initial value", init, input.dtype)?;
    }
    let scalars = check::scalars(inputs);
    check::region(what, region, &[scalars.clone(), scalars.clone()].concat(), &scalars)
}

impl Builder {
    /// Folds `dimensions` of `inputs` from `inits` with `body`, which gets the scalars so far and those
    /// of one element. See [`Reduce`].
    pub fn reduce(
        &self,
        inputs: &[Value],
        inits: &[Value],
        dimensions: &[usize],
        body: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let region = self.fold_region(inputs, body)?;
        let op = Reduce { dimensions: dimensions.to_vec() };
        self.push(op, &[inputs, inits].concat(), &[region])
    }

    /// A region over two scalars of each input's element type.
    pub(crate) fn fold_region(
        &self,
        inputs: &[Value],
        body: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>>,
    ) -> Result<crate::RegionId> {
        let scalars: Vec<TensorType> = inputs.iter().map(|&v| TensorType::scalar(self.dtype(v))).collect();
        self.region(&[scalars.clone(), scalars].concat(), body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn folds_several_inputs_at_once() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 9])).unwrap();
        let n = b.argument("n", TensorType::new(DType::I32, [4, 9])).unwrap();
        let zero = b.argument("zero", TensorType::scalar(DType::F32)).unwrap();
        let none = b.argument("none", TensorType::scalar(DType::I32)).unwrap();
        let sums = b
            .reduce(&[x, n], &[zero, none], &[0], |b, a| Ok(vec![b.add(a[0], a[2])?, b.add(a[1], a[3])?]))
            .unwrap();
        assert_eq!(b.ty(sums[0]), TensorType::new(DType::F32, [9]));
        assert_eq!(b.ty(sums[1]), TensorType::new(DType::I32, [9]));
    }

    #[test]
    fn refuses_what_does_not_fold() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 9])).unwrap();
        let none = b.argument("none", TensorType::scalar(DType::I32)).unwrap();
        let zero = b.argument("zero", TensorType::scalar(DType::F32)).unwrap();
        let error = b.reduce(&[x], &[none], &[0], |b, a| Ok(vec![b.add(a[0], a[1])?])).unwrap_err();
        assert_eq!(error.problem, "the initial value is i32[], expected f32[]");
        let error = b.reduce(&[x], &[zero], &[0], |b, a| Ok(vec![b.convert(a[0], DType::F64)?])).unwrap_err();
        assert_eq!(error.problem, "the body returns (f64[]), expected (f32[])");
        let error = b.reduce(&[x], &[zero], &[2], |b, a| Ok(vec![b.add(a[0], a[1])?])).unwrap_err();
        assert_eq!(error.problem, "dimension 2 is not below the rank 2");
    }
}
