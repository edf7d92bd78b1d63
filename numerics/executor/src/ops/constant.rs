//! `constant`: a literal, kept as one element where it is a splat.

use porter_ir::ops::Constant;

use crate::{array::Array, failure::Outcome, interpreter::Call};

pub(super) fn execute(op: &Constant, call: &Call<'_>) -> Outcome<Vec<Array>> {
    Ok(vec![Array::from_literal(&op.value, call.result()?)?])
}
