//! `concatenate`: tensors written one after the other along a dimension.

use porter_ir::ops::Concatenate;

use super::dynamic_update_slice::write;
use crate::{
    array::{Array, allocate},
    failure::Outcome,
    interpreter::Call,
};

pub(super) fn execute(op: &Concatenate, call: &Call<'_>) -> Outcome<Vec<Array>> {
    let ty = call.result()?;
    let mut joined = Array::new(ty.clone(), allocate(ty)?);
    let mut starts = vec![0; ty.shape.rank()];
    for part in &call.operands {
        if part.elements() > 0 {
            write(&mut joined, part, &starts);
        }
        starts[op.dimension] += part.shape()[op.dimension];
    }
    Ok(vec![joined])
}
