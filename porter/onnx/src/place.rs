//! Places of slices that may not be there: an error instead of a panic.

use std::{fmt::Debug, slice::SliceIndex};

use crate::error::Fault;

/// Places and parts of a slice; what is not there is a fault of the node that asked for it.
pub(crate) trait Places<T> {
    /// The element at `index`.
    fn at(&self, index: usize) -> Result<T, Fault>
    where
        T: Copy;
    /// The element at `index`, to be written to.
    fn slot(&mut self, index: usize) -> Result<&mut T, Fault>;
    /// The elements of a range.
    fn part<R: SliceIndex<[T], Output = [T]> + Debug + Clone>(&self, range: R) -> Result<&[T], Fault>;
    /// The elements of a range, to be written to.
    fn part_mut<R: SliceIndex<[T], Output = [T]> + Debug + Clone>(
        &mut self,
        range: R,
    ) -> Result<&mut [T], Fault>;
}

impl<T> Places<T> for [T] {
    fn at(&self, index: usize) -> Result<T, Fault>
    where
        T: Copy,
    {
        self.get(index).copied().ok_or_else(|| missing(&index, self.len()))
    }

    fn slot(&mut self, index: usize) -> Result<&mut T, Fault> {
        let length = self.len();
        self.get_mut(index).ok_or_else(|| missing(&index, length))
    }

    fn part<R: SliceIndex<[T], Output = [T]> + Debug + Clone>(&self, range: R) -> Result<&[T], Fault> {
        self.get(range.clone()).ok_or_else(|| missing(&range, self.len()))
    }

    fn part_mut<R: SliceIndex<[T], Output = [T]> + Debug + Clone>(
        &mut self,
        range: R,
    ) -> Result<&mut [T], Fault> {
        let length = self.len();
        self.get_mut(range.clone()).ok_or_else(|| missing(&range, length))
    }
}

fn missing(place: &impl Debug, length: usize) -> Fault {
    Fault::Invalid(format!(
        "the shapes of its inputs do not fit the operator: it needs place {place:?} of {length}"
    ))
}
