//! `reshape`: the same elements in row-major order under another shape.

use porter_ir::ops::Reshape;

use crate::{array::Array, failure::Outcome, interpreter::Call};

pub(super) fn execute(op: &Reshape, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x] = call.operands()?;
    Ok(vec![x.reshaped(op.shape.clone())])
}
