//! A tensor's dimensions in another order.

use porter_ir::Shape;

use crate::map::runs::{From, Run, Runs, index_backwards, product, strides};

/// The shape of `input` with dimension `dims[i]` at place `i`.
pub(crate) fn shape(input: &Shape, dims: &[usize]) -> Result<Shape, String> {
    let mut sorted = dims.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..input.rank()) {
        return Err(format!("{dims:?} is not a permutation of the dimensions of {input}"));
    }
    Ok(dims.iter().map(|&dim| input[dim]).collect::<Vec<_>>().into())
}

/// The inverse permutation.
pub(crate) fn inverse(dims: &[usize]) -> Vec<usize> {
    let mut inverse: Vec<usize> = (0..dims.len()).collect();
    inverse.sort_by_key(|&place| dims[place]);
    inverse
}

/// A permuted tensor. The last dimensions that keep their place are one run.
pub(crate) struct Permute {
    /// Sizes in the result, and strides in the input, of the dimensions before those.
    outer: Vec<usize>,
    outer_strides: Vec<usize>,
    /// Elements of a run.
    pub(crate) run: usize,
}

impl Permute {
    pub(crate) fn new(input: &Shape, dims: &[usize]) -> Self {
        let in_strides = strides(input);
        let moved =
            dims.iter().enumerate().rposition(|(place, &dim)| place != dim).map_or(0, |place| place + 1);
        let result: Vec<usize> = dims.iter().map(|&dim| input[dim]).collect();
        Self {
            outer: result.iter().take(moved).copied().collect(),
            outer_strides: dims.iter().take(moved).map(|&dim| in_strides[dim]).collect(),
            run: product(result.iter().skip(moved)),
        }
    }
}

impl Runs for Permute {
    fn run_at(&self, position: usize) -> Run {
        let (row, at) = (position / self.run, position % self.run);
        let indices = index_backwards(row, &self.outer).zip(self.outer_strides.iter().rev());
        let start: usize = indices.map(|(index, stride)| index * stride).sum();
        Run { from: From::Input { input: 0, start: start + at }, len: self.run - at }
    }
}
