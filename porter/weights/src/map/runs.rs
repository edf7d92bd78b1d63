//! What the terms that only move elements have in common: any run of the result, in row-major
//! order, is made of runs of the inputs.

use porter_ir::Shape;

/// A stretch of the result that is a stretch of one input, or zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Where the elements come from.
    pub(crate) from: From,
    /// How many elements, at least one.
    pub(crate) len: usize,
}

/// Where a [`Run`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// Input number `input`, from element `start` on, in row-major order.
    Input { input: usize, start: usize },
    /// Zeros.
    Zeros,
}

/// A term that only moves elements.
pub(crate) trait Runs: Send + Sync {
    /// The longest run that begins at element `position` of the result.
    fn run_at(&self, position: usize) -> Run;
}

/// The product of sizes. Saturates only for shapes without elements, of which nothing is read.
pub(crate) fn product<'a>(sizes: impl IntoIterator<Item = &'a usize>) -> usize {
    sizes.into_iter().fold(1, |n, size| n.saturating_mul(*size))
}

/// Elements between neighbours of each dimension, in row-major order. Saturates only for shapes
/// without elements.
pub(crate) fn strides(shape: &Shape) -> Vec<usize> {
    let mut strides = vec![1; shape.rank()];
    for i in (1..shape.rank()).rev() {
        strides[i - 1] = shape[i].saturating_mul(strides[i]);
    }
    strides
}

/// The index of element `position` of a row-major array of `sizes`, last dimension first.
pub(crate) fn index_backwards(position: usize, sizes: &[usize]) -> impl Iterator<Item = usize> {
    sizes.iter().rev().scan(position, |rest, size| {
        let index = *rest % size;
        *rest /= size;
        Some(index)
    })
}
