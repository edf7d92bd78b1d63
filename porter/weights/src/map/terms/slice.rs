//! A box of a tensor.

use std::ops::Range;

use porter_ir::Shape;

use crate::map::runs::{From, Run, Runs, index_backwards, product, strides};

/// The shape of the box of `ranges` in `input`.
pub(crate) fn shape(input: &Shape, ranges: &[Range<usize>]) -> Result<Shape, String> {
    if ranges.len() != input.rank() {
        return Err(format!("{} ranges for {input}; expected one for each dimension", ranges.len()));
    }
    let mut outside = ranges.iter().zip(input.iter()).filter(|(r, size)| r.start > r.end || r.end > **size);
    if let Some((range, size)) = outside.next() {
        return Err(format!("range {range:?} does not lie in a dimension of {size} (input {input})"));
    }
    Ok(ranges.iter().map(Range::len).collect::<Vec<_>>().into())
}

/// A box, of which the last cut dimension and all after it are one run.
pub(crate) struct Slice {
    /// Sizes in the box, and strides in the input, of the dimensions before the last cut one.
    outer: Vec<usize>,
    outer_strides: Vec<usize>,
    /// Input position of the first element.
    first: usize,
    /// Elements of one run.
    run: usize,
}

impl Slice {
    pub(crate) fn new(input: &Shape, ranges: &[Range<usize>]) -> Self {
        let strides = strides(input);
        let cut =
            ranges.iter().zip(input.iter()).rposition(|(range, size)| range.len() != *size).unwrap_or(0);
        let sizes: Vec<usize> = ranges.iter().map(Range::len).collect();
        Self {
            outer: sizes.iter().take(cut).copied().collect(),
            outer_strides: strides.iter().take(cut).copied().collect(),
            first: ranges
                .iter()
                .zip(&strides)
                .fold(0, |at, (range, stride)| range.start.saturating_mul(*stride).saturating_add(at)),
            run: product(sizes.iter().skip(cut)),
        }
    }
}

impl Runs for Slice {
    fn run_at(&self, position: usize) -> Run {
        let (row, at) = (position / self.run, position % self.run);
        let indices = index_backwards(row, &self.outer).zip(self.outer_strides.iter().rev());
        let row_start: usize = indices.map(|(index, stride)| index * stride).sum();
        Run { from: From::Input { input: 0, start: self.first + row_start + at }, len: self.run - at }
    }
}
