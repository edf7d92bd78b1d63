//! `ConstantOfShape`: one value, in a shape known at import.
//!
//! <https://onnx.ai/onnx/operators/onnx__ConstantOfShape.html>
//! Versions: 9, 20, 21, 23, 24, 25.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let shape = sizes(&cx.known_ints(0)?)?;
    let value = match cx.tensor_attribute("value") {
        Some(tensor) => match cx.proto_constant(tensor)? {
            Item::Tensor(value) => cx.reshaped(value, [])?,
            _ => return unsupported("a value of an element type that programs lack"),
        },
        None => cx.scalar(DType::F32, 0.0)?,
    };
    one(cx.spread(value, &shape)?)
}

pub(crate) fn sizes(shape: &[i64]) -> Result<Vec<usize>, Fault> {
    let sizes: Option<Vec<usize>> = shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    // Sizes of 0 count as 1, so that no product or sum of some of them overflows.
    let filled = |sizes: &[usize]| Shape::new(sizes.iter().map(|&d| d.max(1)).collect::<Vec<_>>()).checked_elements();
    let fits = |sizes: &Vec<usize>| filled(sizes).is_some_and(|n| n <= isize::MAX as usize / 16);
    match sizes.filter(fits) {
        Some(sizes) => Ok(sizes),
        None => invalid(format!("shape {shape:?}")),
    }
}
