//! `gather`: slices taken from computed places.

use super::check;
use crate::{
    Builder, Result, TensorType, Value,
    attribute::{Attribute, bracketed, i64_array},
    op::{Operation, RegionType},
};

/// How indices, operand and result dimensions correspond
/// (<https://openxla.org/stablehlo/spec#gather>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatherDimensions {
    /// The result dimensions that hold the slices.
    pub offset_dims: Vec<usize>,
    /// The operand dimensions, sliced to size 1, that are not in the result.
    pub collapsed_slice_dims: Vec<usize>,
    /// The operand dimensions that go in step with dimensions of the indices.
    pub operand_batching_dims: Vec<usize>,
    /// Those dimensions of the indices, pairwise.
    pub start_indices_batching_dims: Vec<usize>,
    /// The operand dimension that each entry of an index vector is a start in.
    pub start_index_map: Vec<usize>,
    /// The dimension of the indices that holds the index vectors; the rank of the indices where each
    /// element is one by itself.
    pub index_vector_dim: usize,
}

/// Slices of `slice_sizes` from the operand, one for each index vector of the indices
/// (<https://openxla.org/stablehlo/spec#gather>). A start is clamped so that its slice stays inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// How dimensions correspond.
    pub dimensions: GatherDimensions,
    /// The size of a slice in each operand dimension.
    pub slice_sizes: Vec<usize>,
}

impl Operation for Gather {
    fn name(&self) -> &'static str {
        "stablehlo.gather"
    }

    fn infer(&self, operands: &[&TensorType], _: &[RegionType]) -> Result<Vec<TensorType>, String> {
        let [operand, indices] = check::operands(operands)?;
        let d = &self.dimensions;
        check::integer("indices", indices)?;
        self.slices_fit(operand)?;
        index_vectors_fit(indices, d.index_vector_dim, &d.start_index_map, operand)?;
        batching_fits(operand, indices, d)?;

        let vectors = [d.index_vector_dim];
        let mut batch = check::rest(&indices.shape, &[&vectors]).into_iter();
        let mut slice =
            check::rest(&self.slice_sizes, &[&d.collapsed_slice_dims, &d.operand_batching_dims]).into_iter();
        check::length("offset dimensions", &d.offset_dims, slice.len())?;
        let rank = batch.len() + slice.len();
        check::ascending_dims("offset dimension", rank, &d.offset_dims)?;
        let shape: Vec<usize> = (0..rank)
            .filter_map(|i| if d.offset_dims.contains(&i) { slice.next() } else { batch.next() })
            .collect();
        Ok(vec![TensorType::new(operand.dtype, shape)])
    }

    fn attributes(&self) -> Vec<Attribute> {
        let d = &self.dimensions;
        let numbers = format!(
            "#stablehlo.gather<offset_dims = {}, collapsed_slice_dims = {}, operand_batching_dims = {}, \
             start_indices_batching_dims = {}, start_index_map = {}, index_vector_dim = {}>",
            bracketed(&d.offset_dims),
            bracketed(&d.collapsed_slice_dims),
            bracketed(&d.operand_batching_dims),
            bracketed(&d.start_indices_batching_dims),
            bracketed(&d.start_index_map),
            d.index_vector_dim,
        );
        vec![("dimension_numbers", numbers), ("slice_sizes", i64_array(&self.slice_sizes))]
    }
}

impl Gather {
    fn slices_fit(&self, operand: &TensorType) -> Result<(), String> {
        let d = &self.dimensions;
        check::length("slice sizes", &self.slice_sizes, operand.shape.rank())?;
        for (i, (slice, size)) in self.slice_sizes.iter().zip(operand.shape.iter()).enumerate() {
            if slice > size {
                return Err(format!("the slice is {slice} in dimension {i}, which has {size}"));
            }
        }
        check::ascending_dims("collapsed dimension", operand.shape.rank(), &d.collapsed_slice_dims)?;
        check::ascending_dims("batching dimension", operand.shape.rank(), &d.operand_batching_dims)?;
        let left_out = [&d.collapsed_slice_dims[..], &d.operand_batching_dims].concat();
        check::unique_dims("collapsed or batching dimension", operand.shape.rank(), &left_out)?;
        match left_out.iter().find(|&&i| self.slice_sizes[i] > 1) {
            None => Ok(()),
            Some(&i) => Err(format!("the slice is {} in dimension {i}, expected 1 there", self.slice_sizes[i])),
        }
    }
}

/// As many entries in an index vector as mapped dimensions of the operand.
pub(super) fn index_vectors_fit(
    indices: &TensorType,
    index_vector_dim: usize,
    map: &[usize],
    operand: &TensorType,
) -> Result<(), String> {
    let rank = indices.shape.rank();
    if index_vector_dim > rank {
        return Err(format!("index vector dimension {index_vector_dim} is above the indices' rank {rank}"));
    }
    let entries = indices.shape.get(index_vector_dim).copied().unwrap_or(1);
    check::length("mapped dimensions", map, entries)?;
    check::unique_dims("mapped dimension", operand.shape.rank(), map)
}

fn batching_fits(operand: &TensorType, indices: &TensorType, d: &GatherDimensions) -> Result<(), String> {
    let (ours, theirs) = (&d.operand_batching_dims, &d.start_indices_batching_dims);
    batching_pairs("operand", operand, ours, indices, theirs)?;
    let mapped = [&ours[..], &d.start_index_map].concat();
    check::unique_dims("batching or mapped dimension", operand.shape.rank(), &mapped)?;
    let in_indices = [&theirs[..], &[d.index_vector_dim]].concat();
    check::unique_dims("batching or vector dimension", indices.shape.rank() + 1, &in_indices)
}

/// Batching dimensions of the operand and the indices, pairwise of one size.
pub(super) fn batching_pairs(
    what: &str,
    operand: &TensorType,
    ours: &[usize],
    indices: &TensorType,
    theirs: &[usize],
) -> Result<(), String> {
    check::length("batching dimensions of the indices", theirs, ours.len())?;
    check::unique_dims("batching dimension", indices.shape.rank(), theirs)?;
    for (&i, &j) in ours.iter().zip(theirs) {
        let (size, pair) = (check::dim("batching", &operand.shape, i)?, indices.shape[j]);
        if size != pair {
            return Err(format!("batching dimension {i} of the {what} is {size}, its pair {j} is {pair}"));
        }
    }
    Ok(())
}

impl Builder {
    /// Slices of `operand` at `indices`. See [`Gather`].
    pub fn gather(
        &self,
        operand: Value,
        indices: Value,
        dimensions: GatherDimensions,
        slice_sizes: &[usize],
    ) -> Result<Value> {
        self.push_one(Gather { dimensions, slice_sizes: slice_sizes.to_vec() }, &[operand, indices])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    /// The example of the specification.
    #[test]
    fn batched_gather() {
        let b = Builder::new("main");
        let operand = b.argument("operand", TensorType::new(DType::I32, [2, 3, 4, 2])).unwrap();
        let indices = b.argument("indices", TensorType::new(DType::I64, [2, 2, 3, 2])).unwrap();
        let dimensions = GatherDimensions {
            offset_dims: vec![3, 4],
            collapsed_slice_dims: vec![1],
            operand_batching_dims: vec![0],
            start_indices_batching_dims: vec![1],
            start_index_map: vec![2, 1],
            index_vector_dim: 3,
        };
        let y = b.gather(operand, indices, dimensions.clone(), &[1, 1, 2, 2]).unwrap();
        assert_eq!(b.ty(y), TensorType::new(DType::I32, [2, 2, 3, 2, 2]));

        let problem = |d: GatherDimensions, sizes| b.gather(operand, indices, d, sizes).unwrap_err().problem;
        assert_eq!(problem(dimensions.clone(), &[1, 2, 2, 2]), "the slice is 2 in dimension 1, expected 1 there");
        assert_eq!(problem(dimensions.clone(), &[1, 1, 5, 2]), "the slice is 5 in dimension 2, which has 4");
        let unmapped = GatherDimensions { start_index_map: vec![2], ..dimensions.clone() };
        assert_eq!(problem(unmapped, &[1, 1, 2, 2]), "1 mapped dimensions, expected 2");
        let unpaired = GatherDimensions { start_indices_batching_dims: vec![2], ..dimensions };
        assert_eq!(
            problem(unpaired, &[1, 1, 2, 2]),
            "batching dimension 0 of the operand is 2, its pair 2 is 3"
        );
    }
}
