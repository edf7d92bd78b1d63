//! `scatter`: slices folded into computed places.

use super::{
    check,
    gather::{batching_pairs, index_vectors_fit},
    reduce::folds,
};
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, bracketed},
    op::{Operation, RegionType},
};

/// How indices, input and update dimensions correspond
/// (<https://openxla.org/stablehlo/spec#scatter>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScatterDimensions {
    /// The update dimensions that hold the slices.
    pub update_window_dims: Vec<usize>,
    /// The input dimensions, of slice size 1, that are not in the updates.
    pub inserted_window_dims: Vec<usize>,
    /// The input dimensions that go in step with dimensions of the indices.
    pub input_batching_dims: Vec<usize>,
    /// Those dimensions of the indices, pairwise.
    pub scatter_indices_batching_dims: Vec<usize>,
    /// The input dimension that each entry of an index vector is a start in.
    pub scatter_dims_to_operand_dims: Vec<usize>,
    /// The dimension of the indices that holds the index vectors; the rank of the indices where each
    /// element is one by itself.
    pub index_vector_dim: usize,
}

/// Folds slices of the updates into the inputs at the places that the indices give
/// (<https://openxla.org/stablehlo/spec#scatter>); a slice that does not fit is left out. Operands: the
/// inputs, the indices, as many updates.
///
/// The region takes the scalars in place, then those of the updates, and returns the new ones; it
/// reads nothing from outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// How dimensions correspond.
    pub dimensions: ScatterDimensions,
}

impl Operation for Scatter {
    fn name(&self) -> &'static str {
        "stablehlo.scatter"
    }

    fn infer(&self, operands: &[&TensorType], regions: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let (inputs, indices, updates) = parts(operands)?;
        let d = &self.dimensions;
        check::one_shape(inputs)?;
        let (input, shape) = (inputs[0], check::one_shape(updates)?);
        check::integer("indices", indices)?;
        index_vectors_fit(indices, d.index_vector_dim, &d.scatter_dims_to_operand_dims, input)?;
        let theirs = &d.scatter_indices_batching_dims;
        batching_pairs("input", input, &d.input_batching_dims, indices, theirs)?;
        let left_out = [&d.inserted_window_dims[..], &d.input_batching_dims].concat();
        check::unique_dims("inserted or batching dimension", input.shape.rank(), &left_out)?;
        check::ascending_dims("update window dimension", shape.rank(), &d.update_window_dims)?;

        let batch = check::rest(&indices.shape, &[&[d.index_vector_dim]]);
        let scattered = check::rest(shape, &[&d.update_window_dims]);
        if scattered != batch {
            return Err(format!("the updates scatter {scattered:?}, the indices {batch:?}"));
        }
        let window: Vec<usize> = d.update_window_dims.iter().map(|&i| shape[i]).collect();
        let room = check::rest(&input.shape, &[&left_out]);
        if window.len() != room.len() || window.iter().zip(&room).any(|(slice, size)| slice > size) {
            return Err(format!("an update slice is {window:?}, which does not fit in {room:?}"));
        }
        let [body] = check::regions(regions)?;
        folds("body", body, inputs, &check::scalars(updates).iter().collect::<Vec<_>>())?;
        Ok(inputs.iter().map(|&ty| ty.clone()).collect())
    }

    fn attributes(&self) -> Vec<Attribute> {
        let d = &self.dimensions;
        let numbers = format!(
            "#stablehlo.scatter<update_window_dims = {}, inserted_window_dims = {}, input_batching_dims = {}, \
             scatter_indices_batching_dims = {}, scatter_dims_to_operand_dims = {}, index_vector_dim = {}>",
            bracketed(&d.update_window_dims),
            bracketed(&d.inserted_window_dims),
            bracketed(&d.input_batching_dims),
            bracketed(&d.scatter_indices_batching_dims),
            bracketed(&d.scatter_dims_to_operand_dims),
            d.index_vector_dim,
        );
        vec![("scatter_dimension_numbers", numbers)]
    }
}

type Parts<'o, 't> = (&'o [&'t TensorType], &'t TensorType, &'o [&'t TensorType]);

/// The inputs, the indices and the updates.
fn parts<'o, 't>(operands: &'o [&'t TensorType]) -> Result<Parts<'o, 't>, String> {
    let count = operands.len() / 2;
    match operands.split_at(count) {
        (inputs, [indices, updates @ ..]) if !inputs.is_empty() && updates.len() == count => {
            Ok((inputs, *indices, updates))
        }
        _ => Err(format!("takes inputs, indices and as many updates, found {} operands", operands.len())),
    }
}

impl Builder {
    /// Folds slices of `updates` into `inputs` at `indices` with `body`, which gets the scalars in place
    /// and those of the updates. See [`Scatter`].
    pub fn scatter(
        &self,
        inputs: &[Value],
        indices: Value,
        updates: &[Value],
        dimensions: ScatterDimensions,
        body: impl FnOnce(&Builder, &[Value]) -> Result<Vec<Value>>,
    ) -> Result<Vec<Value>> {
        let region = self.fold_region(inputs, body)?;
        self.push(Scatter { dimensions }, &[inputs, &[indices], updates].concat(), &[region])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    #[test]
    fn rows_added_at_indices() {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [4, 9])).unwrap();
        let at = b.argument("at", TensorType::new(DType::I32, [3])).unwrap();
        let rows = b.argument("rows", TensorType::new(DType::F32, [3, 9])).unwrap();
        let dimensions = ScatterDimensions {
            update_window_dims: vec![1],
            inserted_window_dims: vec![0],
            scatter_dims_to_operand_dims: vec![0],
            index_vector_dim: 1,
            ..ScatterDimensions::default()
        };
        let add = |b: &Builder, a: &[Value]| Ok(vec![b.add(a[0], a[1])?]);
        let y = b.scatter(&[x], at, &[rows], dimensions.clone(), add).unwrap();
        assert_eq!(b.ty(y[0]), b.ty(x));

        let error = b.scatter(&[x], at, &[x], dimensions.clone(), add).unwrap_err();
        assert_eq!(error.problem, "the updates scatter [4], the indices [3]");
        let error = b.scatter(&[x], rows, &[rows], dimensions.clone(), add).unwrap_err();
        assert_eq!(error.problem, "the indices must be integers, found f32[3, 9]");
        let whole = ScatterDimensions { inserted_window_dims: vec![], ..dimensions };
        let error = b.scatter(&[x], at, &[rows], whole, add).unwrap_err();
        assert_eq!(error.problem, "an update slice is [9], which does not fit in [4, 9]");
    }
}
