//! `transpose`: a view with the dimensions in another order.

use porter_ir::ops::Transpose;

use crate::{array::Array, failure::Outcome, interpreter::Call};

pub(super) fn execute(op: &Transpose, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x] = call.operands()?;
    Ok(vec![x.permuted(&op.permutation)])
}
