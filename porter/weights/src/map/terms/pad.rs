//! A tensor among zeros.

use porter_ir::Shape;

use crate::map::runs::{From, Run, Runs, index_backwards, product, strides};

/// The shape of `input` with `padding` zeros before and after it in each dimension.
pub(crate) fn shape(input: &Shape, padding: &[(usize, usize)]) -> Result<Shape, String> {
    if padding.len() != input.rank() {
        return Err(format!("{} paddings for {input}; expected one for each dimension", padding.len()));
    }
    let padded =
        input.iter().zip(padding).map(|(size, (low, high))| size.checked_add(*low)?.checked_add(*high));
    let sizes: Option<Vec<usize>> = padded.collect();
    sizes.map(Shape::from).ok_or_else(|| format!("{input} padded by {padding:?} overflows"))
}

/// One dimension before the last padded one.
struct Outer {
    padded: usize,
    low: usize,
    size: usize,
    stride: usize,
}

/// A padded tensor, of which the last padded dimension and all after it are one row.
pub(crate) struct Pad {
    outer: Vec<Outer>,
    padded_sizes: Vec<usize>,
    /// Elements of a row of the result: zeros, then input, then zeros.
    row: usize,
    low: usize,
    inner: usize,
}

impl Pad {
    pub(crate) fn new(input: &Shape, padding: &[(usize, usize)]) -> Self {
        let strides = strides(input);
        let last = padding.iter().rposition(|p| *p != (0, 0)).unwrap_or(0);
        let outer: Vec<Outer> = (0..last)
            .map(|i| {
                let (low, high) = padding[i];
                Outer { padded: input[i] + low + high, low, size: input[i], stride: strides[i] }
            })
            .collect();
        let after = product(input.iter().skip(last + 1));
        let (low, high) = padding.get(last).copied().unwrap_or_default();
        let inner = input.get(last).copied().unwrap_or(1).saturating_mul(after);
        let (low, high) = (low.saturating_mul(after), high.saturating_mul(after));
        Self {
            padded_sizes: outer.iter().map(|dim| dim.padded).collect(),
            outer,
            row: low.saturating_add(inner).saturating_add(high),
            low,
            inner,
        }
    }

    /// Where row `row` of the result begins in the input, if it is not a row of zeros.
    fn row_start(&self, row: usize) -> Option<usize> {
        let indices = index_backwards(row, &self.padded_sizes).zip(self.outer.iter().rev());
        let starts = indices.map(|(index, dim)| {
            let index = index.checked_sub(dim.low).filter(|&index| index < dim.size)?;
            Some(index * dim.stride)
        });
        starts.sum()
    }
}

impl Runs for Pad {
    fn run_at(&self, position: usize) -> Run {
        let (row, at) = (position / self.row, position % self.row);
        let end = self.low + self.inner;
        match self.row_start(row) {
            Some(_) if at < self.low => Run { from: From::Zeros, len: self.low - at },
            Some(start) if at < end => {
                Run { from: From::Input { input: 0, start: start + at - self.low }, len: end - at }
            }
            _ => Run { from: From::Zeros, len: self.row - at },
        }
    }
}
