//! What a sliding window sees.

use porter_ir::ops::Window;

use crate::shapes::{position, strides};

/// For each place of the window, given by its offset, the element of a tensor of `shape` that it reads;
/// none in the padding and between dilated elements.
pub(super) fn seen(window: &Window, shape: &[usize], place: &[usize], offset: &[usize]) -> Option<usize> {
    let mut index = Vec::with_capacity(shape.len());
    for dim in 0..shape.len() {
        let at = place[dim] as i128 * window.strides[dim] as i128
            + offset[dim] as i128 * window.window_dilations[dim] as i128
            - i128::from(window.padding[dim].0);
        let dilation = window.base_dilations[dim] as i128;
        if at < 0 || at % dilation != 0 || at / dilation >= shape[dim] as i128 {
            return None;
        }
        index.push((at / dilation) as usize);
    }
    Some(position(&index, &strides(shape)))
}
