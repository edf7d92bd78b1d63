//! `broadcast_in_dim`: a view that stands still along the repeated dimensions.

use burn_flex::Layout;
use porter_ir::ops::BroadcastInDim;

use crate::{
    array::{Array, burn_shape},
    failure::Outcome,
    interpreter::Call,
};

pub(super) fn execute(op: &BroadcastInDim, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x] = call.operands()?;
    let mut strides = vec![0; op.shape.rank()];
    for (i, &dim) in op.dimensions.iter().enumerate() {
        if x.shape()[i] == op.shape[dim] {
            strides[dim] = x.layout().strides()[i];
        }
    }
    let layout = Layout::new(burn_shape(&op.shape), strides, x.layout().start_offset());
    Ok(vec![x.view(op.shape.clone(), layout)])
}
