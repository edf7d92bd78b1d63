//! `pad`: a value around and between the elements.

use porter_ir::{Shape, TensorType, ops::Pad};

use crate::{
    array::{Array, allocate},
    failure::Outcome,
    interpreter::Call,
    shapes::{Indices, strides},
};

pub(super) fn execute(op: &Pad, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x, value] = call.operands()?;
    let value = value.contiguous();
    Ok(vec![padded(&x, value.as_bytes(), op, &call.result()?.shape)?])
}

/// `x` padded with the element `value` to `shape`.
pub(super) fn padded(x: &Array, value: &[u8], op: &Pad, shape: &Shape) -> Outcome<Array> {
    let nothing = op.low.iter().chain(&op.high).all(|&n| n == 0) && op.interior.iter().all(|&n| n == 0);
    if nothing {
        return Ok(x.clone());
    }
    let ty = TensorType::new(x.dtype(), shape.clone());
    let mut bytes = allocate(&ty)?;
    let size = value.len();
    if value.iter().any(|&byte| byte != 0) {
        bytes.chunks_exact_mut(size).for_each(|slot| slot.copy_from_slice(value));
    }
    let x = x.contiguous();
    let out = strides(shape);
    let (mut indices, mut elements) = (Indices::of(x.shape()), x.as_bytes().chunks_exact(size));
    while let (Some(index), Some(element)) = (indices.next(), elements.next()) {
        if let Some(at) = place(index, op, shape, &out)
            && let Some(slot) = bytes.get_mut(at * size..(at + 1) * size)
        {
            slot.copy_from_slice(element);
        }
    }
    Ok(Array::new(ty, bytes))
}

/// Where an element comes to lie; nowhere where negative padding takes it away.
fn place(index: &[usize], op: &Pad, shape: &[usize], strides: &[usize]) -> Option<usize> {
    let mut at = 0;
    for (dim, &i) in index.iter().enumerate() {
        let moved = i as i128 * (op.interior[dim] as i128 + 1) + i128::from(op.low[dim]);
        let moved = usize::try_from(moved).ok().filter(|&moved| moved < shape[dim])?;
        at += moved * strides[dim];
    }
    Some(at)
}
