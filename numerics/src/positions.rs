//! Which positions count.

use std::{iter, ops::Range};

use porter_ir::Shape;

use crate::CompareError;

/// Which positions of a tensor count in a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Positions {
    /// All of them.
    #[default]
    All,
    /// One flag for each index of the leading dimensions, in row-major order: an attention mask
    /// `[batch, position]` flattened, say, for a tensor `[batch, position, hidden]`.
    Rows(Vec<bool>),
}

impl Positions {
    /// The element ranges that count, in order and apart from each other.
    pub(crate) fn ranges(&self, shape: &Shape) -> Result<Vec<Range<usize>>, CompareError> {
        let elements = shape.elements();
        let ranges = match self {
            Positions::All => iter::once(0..elements).collect(),
            Positions::Rows(rows) => runs(rows, row_elements(rows, shape)?),
        };
        if ranges.iter().all(Range::is_empty) {
            return Err(CompareError::Empty { shape: shape.clone() });
        }
        Ok(ranges)
    }
}

/// How many elements one row has.
fn row_elements(rows: &[bool], shape: &Shape) -> Result<usize, CompareError> {
    let mut leading = 1_usize;
    for (axis, size) in shape.iter().enumerate() {
        leading = leading.saturating_mul(*size);
        if leading == rows.len() {
            return Ok(shape.iter().skip(axis + 1).product());
        }
    }
    Err(CompareError::Rows { rows: rows.len(), shape: shape.clone() })
}

fn runs(rows: &[bool], row_elements: usize) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut ranges = Vec::new();
    for run in rows.chunk_by(|a, b| a == b) {
        let end = start + run.len() * row_elements;
        if run.first() == Some(&true) {
            ranges.push(start..end);
        }
        start = end;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_ranges_of_elements() {
        let mask = Positions::Rows(vec![true, true, false, false, true, false]);
        assert_eq!(mask.ranges(&Shape::new([2, 3, 4])).unwrap(), [0..8, 16..20]);
        assert_eq!(mask.ranges(&Shape::new([2, 3])).unwrap(), [0..2, 4..5]);
        assert_eq!(Positions::All.ranges(&Shape::scalar()).unwrap().first(), Some(&(0..1)));
    }

    #[test]
    fn a_mask_of_another_shape_or_of_nothing_is_an_error() {
        let mask = Positions::Rows(vec![true; 5]);
        assert!(matches!(mask.ranges(&Shape::new([2, 3])), Err(CompareError::Rows { rows: 5, .. })));
        let nothing = Positions::Rows(vec![false; 2]);
        assert!(matches!(nothing.ranges(&Shape::new([2, 3])), Err(CompareError::Empty { .. })));
        assert!(matches!(Positions::All.ranges(&Shape::new([0, 3])), Err(CompareError::Empty { .. })));
    }
}
