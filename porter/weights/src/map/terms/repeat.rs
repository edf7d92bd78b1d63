//! Every slice of a dimension several times in a row.

use porter_ir::Shape;

use crate::map::runs::{From, Run, Runs, product};

/// The shape of `input` with every slice of `dim` repeated.
pub(crate) fn shape(input: &Shape, dim: usize, times: usize) -> Result<Shape, String> {
    if dim >= input.rank() || times == 0 {
        return Err(format!(
            "{times} times along dimension {dim} of {input}; expected a dimension of it, at least once"
        ));
    }
    let mut dims = input.to_vec();
    dims[dim] = dims[dim].checked_mul(times).ok_or_else(|| format!("{times} times {input} overflows"))?;
    Ok(dims.into())
}

/// A repeated tensor.
pub(crate) struct Repeat {
    /// Elements of one slice.
    slice: usize,
    times: usize,
}

impl Repeat {
    pub(crate) fn new(input: &Shape, dim: usize, times: usize) -> Self {
        Self { slice: product(input.iter().skip(dim + 1)), times }
    }
}

impl Runs for Repeat {
    fn run_at(&self, position: usize) -> Run {
        let (slice, at) = (position / self.slice / self.times, position % self.slice);
        Run { from: From::Input { input: 0, start: slice * self.slice + at }, len: self.slice - at }
    }
}
