//! Strided elements in a storage.

use porter_ir::Shape;

/// Where a tensor's elements lie in its storage, in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) offset: usize,
    pub(crate) sizes: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    /// How many elements there are. The product of the sizes, which does not overflow.
    elements: usize,
    /// One past the last element used, from the storage's start.
    end: usize,
}

impl Layout {
    /// The layout of a tensor whose size and place fit a machine word.
    pub(crate) fn new(offset: i64, sizes: &[i64], strides: &[i64]) -> Result<Self, String> {
        let shown = || format!("sizes {sizes:?}, strides {strides:?} and offset {offset}");
        if sizes.len() != strides.len() {
            return Err(format!("has {}, which do not go together", shown()));
        }
        let whole =
            |n: &i64| usize::try_from(*n).map_err(|_| format!("has {}; none may be negative", shown()));
        let offset = whole(&offset)?;
        let counts = sizes.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
        let steps = strides.iter().map(whole).collect::<Result<Vec<_>, _>>()?;
        let overflow = || format!("has {}, which overflow", shown());
        // The product of the sizes that are not 0 has to fit, as shapes elsewhere assume.
        let product = counts.iter().filter(|n| **n > 0).try_fold(1_usize, |n, size| n.checked_mul(*size));
        let elements = if counts.contains(&0) { 0 } else { product.ok_or_else(overflow)? };
        product.filter(|n| *n <= isize::MAX as usize / 16).ok_or_else(overflow)?;
        let end = if elements == 0 {
            0
        } else {
            let mut last = counts.iter().zip(&steps).map(|(size, stride)| (size - 1).checked_mul(*stride));
            let last = last.try_fold(offset, |sum, step| sum.checked_add(step?)).ok_or_else(overflow)?;
            last.checked_add(1).ok_or_else(overflow)?
        };
        Ok(Self { offset, sizes: counts, strides: steps, elements, end })
    }

    pub(crate) fn shape(&self) -> Shape {
        self.sizes.clone().into()
    }

    pub(crate) fn elements(&self) -> usize {
        self.elements
    }

    /// How many elements of the storage are needed, from its start.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// True if the elements lie one after another in row-major order.
    pub(crate) fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.elements == 0
            || self.sizes.iter().zip(&self.strides).rev().all(|(size, stride)| {
                let fits = *size == 1 || *stride == expected;
                expected *= size;
                fits
            })
    }

    /// Copies the elements of `bytes` each, in row-major order, from a storage that holds
    /// [`end`](Self::end) of them, to `out`, which holds [`elements`](Self::elements) of them.
    pub(crate) fn gather(&self, storage: &[u8], bytes: usize, out: &mut [u8]) {
        if out.is_empty() {
            return;
        }
        let rank = self.sizes.len();
        let (size, stride) = match rank {
            0 => (1, 1),
            _ => (self.sizes[rank - 1], self.strides[rank - 1]),
        };
        let outer = rank.saturating_sub(1);
        let mut index = vec![0; outer];
        let mut start = self.offset;
        for row in out.chunks_exact_mut(size * bytes) {
            if stride == 1 {
                row.copy_from_slice(&storage[start * bytes..][..size * bytes]);
            } else {
                for (i, element) in row.chunks_exact_mut(bytes).enumerate() {
                    element.copy_from_slice(&storage[(start + i * stride) * bytes..][..bytes]);
                }
            }
            for dim in (0..outer).rev() {
                index[dim] += 1;
                start += self.strides[dim];
                if index[dim] < self.sizes[dim] {
                    break;
                }
                start -= self.strides[dim] * self.sizes[dim];
                index[dim] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(offset: i64, sizes: &[i64], strides: &[i64], storage: &[u8]) -> Vec<u8> {
        let layout = Layout::new(offset, sizes, strides).unwrap();
        assert!(layout.end() <= storage.len());
        let mut out = vec![0; layout.elements()];
        layout.gather(storage, 1, &mut out);
        out
    }

    #[test]
    fn strides_offsets_and_repeats() {
        let storage: Vec<u8> = (0..24).collect();
        assert_eq!(gathered(1, &[2, 3], &[3, 1], &storage), [1, 2, 3, 4, 5, 6]);
        assert_eq!(gathered(0, &[3, 2], &[1, 3], &storage), [0, 3, 1, 4, 2, 5]);
        assert_eq!(gathered(0, &[2, 2, 2], &[1, 12, 4], &storage), [0, 4, 12, 16, 1, 5, 13, 17]);
        assert_eq!(gathered(3, &[2, 3], &[1, 0], &storage), [3, 3, 3, 4, 4, 4]);
        assert_eq!(gathered(5, &[], &[], &storage), [5]);
        assert!(gathered(90, &[0, 4], &[4, 1], &storage).is_empty());
    }

    #[test]
    fn what_lies_one_after_another() {
        let contiguous =
            |sizes: &[i64], strides: &[i64]| Layout::new(0, sizes, strides).unwrap().is_contiguous();
        assert!(contiguous(&[2, 3], &[3, 1]) && contiguous(&[1, 3], &[99, 1]) && contiguous(&[], &[]));
        assert!(!contiguous(&[3, 2], &[1, 3]) && !contiguous(&[4], &[0]));
    }

    #[test]
    fn sizes_that_lie_are_refused() {
        for (sizes, strides) in [
            (&[-1_i64][..], &[1_i64][..]),
            (&[2], &[-1]),
            (&[2], &[]),
            (&[i64::MAX, i64::MAX], &[0, 0]),
            (&[i64::MAX, 0, 4], &[0, 0, 0]),
            (&[4], &[i64::MAX]),
        ] {
            assert!(Layout::new(0, sizes, strides).is_err(), "{sizes:?} {strides:?}");
        }
        assert!(Layout::new(i64::MAX, &[3], &[i64::MAX]).is_err());
        assert!(Layout::new(-1, &[2], &[1]).is_err());
    }
}
