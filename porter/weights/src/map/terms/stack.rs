//! Tensors as the slices of a new first dimension.

use porter_ir::Shape;

use super::concat::Concat;

/// The shape of `inputs` stacked.
pub(crate) fn shape(inputs: &[Shape]) -> Result<Shape, String> {
    let first = inputs.first().ok_or("has no input")?;
    match inputs.iter().find(|other| *other != first) {
        Some(other) => Err(format!("{first} and {other} differ")),
        None => Ok([&[inputs.len()], &first[..]].concat().into()),
    }
}

/// In row-major order a stack is its inputs one after another.
pub(crate) fn runs(inputs: &[Shape]) -> Concat {
    Concat::new(inputs, 0)
}
