//! `iota`: the numbers from zero along one dimension.

use burn_flex::Layout;
use porter_ir::{TensorType, ops::Iota};

use crate::{
    array::{Array, burn_shape},
    failure::Outcome,
    interpreter::Call,
    lane::Lane,
};

pub(super) fn execute(op: &Iota, call: &Call<'_>) -> Outcome<Vec<Array>> {
    let ty = call.result()?;
    let size = ty.shape.get(op.dimension).copied().ok_or("the counted dimension is not there")?;
    let numbers = TensorType::new(ty.dtype, [size]);
    let lane = if ty.dtype.is_float() {
        Lane::Floats((0..size).map(|i| i as f64).collect())
    } else {
        Lane::Integers((0..size).map(|i| i as i128).collect())
    };
    let mut strides = vec![0; ty.shape.rank()];
    strides[op.dimension] = 1;
    let layout = Layout::new(burn_shape(&ty.shape), strides, 0);
    Ok(vec![Array::of_lane(&numbers, &lane)?.view(ty.shape.clone(), layout)])
}
