//! `reverse`: a view from the other end.

use porter_ir::ops::Reverse;

use crate::{array::Array, failure::Outcome, interpreter::Call};

pub(super) fn execute(op: &Reverse, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x] = call.operands()?;
    Ok(vec![x.view(x.shape().clone(), x.layout().flip(&op.dimensions))])
}
