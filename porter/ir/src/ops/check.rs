//! What ops check of their operands, dimensions and regions.

use crate::{DType, Shape, TensorType, op::RegionType};

/// Exactly `N` operands.
pub(super) fn operands<'a, const N: usize>(
    operands: &[&'a TensorType],
) -> Result<[&'a TensorType; N], String> {
    let plural = if N == 1 { "" } else { "s" };
    operands.try_into().map_err(|_| format!("takes {N} operand{plural}, found {}", operands.len()))
}

/// Exactly `N` regions.
pub(super) fn regions<const N: usize>(regions: &[RegionType]) -> Result<&[RegionType; N], String> {
    let plural = if N == 1 { "" } else { "s" };
    regions.try_into().map_err(|_| format!("takes {N} region{plural}, found {}", regions.len()))
}

/// A region with these arguments and results.
pub(super) fn region(
    what: &str,
    region: &RegionType,
    arguments: &[TensorType],
    results: &[TensorType],
) -> Result<(), String> {
    if region.arguments != arguments {
        let (found, expected) = (types(&region.arguments), types(arguments));
        return Err(format!("the {what} takes {found}, expected {expected}"));
    }
    if region.results != results {
        let (found, expected) = (types(&region.results), types(results));
        return Err(format!("the {what} returns {found}, expected {expected}"));
    }
    Ok(())
}

/// Rank-0 tensors of the operands' element types.
pub(super) fn scalars(operands: &[&TensorType]) -> Vec<TensorType> {
    operands.iter().map(|ty| TensorType::scalar(ty.dtype)).collect()
}

/// `(f32[], i32[2])`.
pub(super) fn types(types: &[TensorType]) -> String {
    let types: Vec<String> = types.iter().map(TensorType::to_string).collect();
    format!("({})", types.join(", "))
}

/// The size of dimension `dim`.
pub(super) fn dim(what: &str, shape: &Shape, dim: usize) -> Result<usize, String> {
    shape.get(dim).copied().ok_or_else(|| format!("{what} dimension {dim} is not in {shape}"))
}

/// Dimensions of a tensor of rank `rank`, each named once.
pub(super) fn unique_dims(what: &str, rank: usize, dims: &[usize]) -> Result<(), String> {
    let mut seen = vec![false; rank];
    for &dim in dims {
        match seen.get_mut(dim) {
            None => return Err(format!("{what} {dim} is not below the rank {rank}")),
            Some(true) => return Err(format!("{what} {dim} is named twice in {dims:?}")),
            Some(seen) => *seen = true,
        }
    }
    Ok(())
}

/// As [`unique_dims`], and ascending.
pub(super) fn ascending_dims(what: &str, rank: usize, dims: &[usize]) -> Result<(), String> {
    unique_dims(what, rank, dims)?;
    if dims.is_sorted() { Ok(()) } else { Err(format!("{what}s {dims:?} are not ascending")) }
}

/// As many entries as expected.
pub(super) fn length<T>(what: &str, items: &[T], expected: usize) -> Result<(), String> {
    if items.len() == expected { Ok(()) } else { Err(format!("{} {what}, expected {expected}", items.len())) }
}

/// An integer element type.
pub(super) fn integer(what: &str, ty: &TensorType) -> Result<(), String> {
    if ty.dtype.is_integer() { Ok(()) } else { Err(format!("the {what} must be integers, found {ty}")) }
}

/// A floating point element type.
pub(super) fn float(what: &str, ty: &TensorType) -> Result<(), String> {
    if ty.dtype.is_float() { Ok(()) } else { Err(format!("the {what} must be floats, found {ty}")) }
}

/// Exactly this type.
pub(super) fn is(what: &str, ty: &TensorType, expected: &TensorType) -> Result<(), String> {
    if ty == expected { Ok(()) } else { Err(format!("the {what} is {ty}, expected {expected}")) }
}

/// A rank-0 tensor of `dtype`.
pub(super) fn scalar(what: &str, ty: &TensorType, dtype: DType) -> Result<(), String> {
    is(what, ty, &TensorType::scalar(dtype))
}

/// Operands of one shape, at least one.
pub(super) fn one_shape<'a>(operands: &[&'a TensorType]) -> Result<&'a Shape, String> {
    let first = operands.first().ok_or("takes at least 1 operand, found 0")?;
    match operands.iter().find(|ty| ty.shape != first.shape) {
        None => Ok(&first.shape),
        Some(other) => {
            Err(format!("operands must have one shape, found {} and {}", first.shape, other.shape))
        }
    }
}

/// The elements of `shape` at the positions that are in none of `without`.
pub(super) fn rest(shape: &[usize], without: &[&[usize]]) -> Vec<usize> {
    let kept = shape.iter().enumerate().filter(|(i, _)| !without.iter().any(|dims| dims.contains(i)));
    kept.map(|(_, &size)| size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dims() {
        assert_eq!(unique_dims("dimension", 3, &[2, 0]), Ok(()));
        assert_eq!(unique_dims("dimension", 3, &[3]).unwrap_err(), "dimension 3 is not below the rank 3");
        assert_eq!(unique_dims("dimension", 3, &[1, 1]).unwrap_err(), "dimension 1 is named twice in [1, 1]");
        assert_eq!(
            ascending_dims("dimension", 3, &[2, 0]).unwrap_err(),
            "dimensions [2, 0] are not ascending"
        );
        assert_eq!(rest(&[4, 5, 6], &[&[0], &[2]]), [5]);
    }
}
