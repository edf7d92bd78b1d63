//! `slice`: a view of a part. A small part of something large is copied, so that the rest can go.

use burn_flex::Layout;
use porter_ir::ops::Slice;

use crate::{
    array::{Array, burn_shape},
    failure::Outcome,
    interpreter::Call,
};

pub(super) fn execute(op: &Slice, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [x] = call.operands()?;
    Ok(vec![part(&x, &op.starts, &call.result()?.shape, &op.strides)?])
}

/// The elements from `starts` on, `sizes` of them, `steps` apart.
pub(super) fn part(x: &Array, starts: &[usize], sizes: &[usize], steps: &[usize]) -> Outcome<Array> {
    let strides = x.layout().strides();
    let offset: isize = starts.iter().zip(strides).map(|(&start, stride)| start as isize * stride).sum();
    let start = usize::try_from(x.layout().start_offset() as isize + offset)
        .map_err(|_| "the part starts before the tensor")?;
    let strides = strides.iter().zip(steps).map(|(stride, &step)| stride * step as isize).collect();
    let layout = Layout::new(burn_shape(sizes), strides, start);
    let view = x.view(sizes.to_vec().into(), layout);
    Ok(if view.elements() < x.elements() / 2 { view.compact() } else { view })
}
