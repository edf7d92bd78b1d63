//! Tensors one after another along a dimension.

use porter_ir::Shape;

use crate::map::runs::{From, Run, Runs, product};

/// The shape of `inputs` joined along `dim`.
pub(crate) fn shape(inputs: &[Shape], dim: usize) -> Result<Shape, String> {
    let first = inputs.first().ok_or("has no input")?;
    if dim >= first.rank() {
        return Err(format!("dimension {dim} is past the rank of {first}"));
    }
    let others = |shape: &Shape| -> Vec<usize> {
        shape.iter().enumerate().filter(|(i, _)| *i != dim).map(|(_, &size)| size).collect()
    };
    if let Some(other) = inputs.iter().find(|s| s.rank() != first.rank() || others(s) != others(first)) {
        return Err(format!("{first} and {other} differ outside dimension {dim}"));
    }
    let joined = inputs.iter().try_fold(0_usize, |n, s| n.checked_add(s[dim])).ok_or("the sizes overflow")?;
    let mut dims = first.to_vec();
    dims[dim] = joined;
    Ok(dims.into())
}

/// Where each input ends within one row of the result: the elements of `dim` and all after it.
pub(crate) struct Concat {
    ends: Vec<usize>,
}

impl Concat {
    pub(crate) fn new(inputs: &[Shape], dim: usize) -> Self {
        let mut end = 0;
        let ends = inputs.iter().map(|shape| {
            end = product(shape.iter().skip(dim)).saturating_add(end);
            end
        });
        Self { ends: ends.collect() }
    }
}

impl Runs for Concat {
    fn run_at(&self, position: usize) -> Run {
        let row = self.ends.last().copied().unwrap_or(1);
        let (outer, at) = (position / row, position % row);
        let input = self.ends.partition_point(|&end| end <= at);
        let begin = input.checked_sub(1).map_or(0, |before| self.ends[before]);
        let len = self.ends[input] - begin;
        Run { from: From::Input { input, start: outer * len + at - begin }, len: self.ends[input] - at }
    }
}
