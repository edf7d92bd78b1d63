//! `dynamic_slice`: a part at computed starts, held inside.

use porter_ir::ops::DynamicSlice;

use super::slice::part;
use crate::{array::Array, failure::Outcome, interpreter::Call};

pub(super) fn execute(op: &DynamicSlice, call: &Call<'_>) -> Outcome<Vec<Array>> {
    let (x, starts) = call.operands.split_first().ok_or("takes a tensor and its starts")?;
    let starts = clamped(starts, x.shape(), &op.sizes);
    Ok(vec![part(x, &starts, &op.sizes, &vec![1; starts.len()])?])
}

/// The starts, moved so that a part of `sizes` stays inside of `shape`.
pub(super) fn clamped(starts: &[Array], shape: &[usize], sizes: &[usize]) -> Vec<usize> {
    let start = |(start, (size, part)): (&Array, (&usize, &usize))| {
        let last = size.saturating_sub(*part) as i128;
        start.integers().first().copied().unwrap_or(0).clamp(0, last) as usize
    };
    starts.iter().zip(shape.iter().zip(sizes)).map(start).collect()
}
