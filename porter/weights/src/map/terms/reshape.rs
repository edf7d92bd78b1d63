//! The same elements under another shape.

use porter_ir::Shape;

/// `shape`, if it has as many elements as `input`.
pub(crate) fn shape(input: &Shape, shape: &Shape) -> Result<Shape, String> {
    match (input.checked_elements(), shape.checked_elements()) {
        (Some(have), Some(want)) if have == want => Ok(shape.clone()),
        _ => Err(format!("{input} does not have the elements of {shape}")),
    }
}
