//! `dynamic_update_slice`: a part written at computed starts; in place where nobody else has the tensor.

use super::dynamic_slice::clamped;
use crate::{
    array::Array,
    failure::Outcome,
    interpreter::Call,
    shapes::{Indices, position, strides},
};

pub(super) fn execute(mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let mut operands = std::mem::take(&mut call.operands).into_iter();
    let (Some(x), Some(update)) = (operands.next(), operands.next()) else {
        return Err("takes a tensor, an update and its starts".into());
    };
    let starts: Vec<Array> = operands.collect();
    let starts = clamped(&starts, x.shape(), update.shape());
    let mut target = x.into_contiguous();
    write(&mut target, &update, &starts);
    Ok(vec![target])
}

/// Copies the rows of `part` into `target`, which is contiguous.
pub(super) fn write(target: &mut Array, part: &Array, starts: &[usize]) {
    let part = part.contiguous();
    let size = part.dtype().host_bytes();
    let shape = part.shape().to_vec();
    let (outer, width) = match shape.split_last() {
        Some((&width, outer)) => (outer, width),
        None => (&[][..], 1),
    };
    let row = width * size;
    if row == 0 {
        return;
    }
    let strides = strides(target.shape());
    let (to, base) = (target.as_bytes_mut(), position(starts, &strides));
    let (mut indices, mut rows) = (Indices::of(outer), part.as_bytes().chunks_exact(row));
    while let (Some(index), Some(from)) = (indices.next(), rows.next()) {
        let at = (base + position(index, &strides)) * size;
        if let Some(slot) = to.get_mut(at..at + row) {
            slot.copy_from_slice(from);
        }
    }
}
