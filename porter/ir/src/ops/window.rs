//! Windows that slide over the dimensions of a tensor.

use super::check;
use crate::attribute::{Attribute, i64_array, padding};

/// How a window slides, dimension by dimension
/// (<https://openxla.org/stablehlo/spec#reduce_window>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The distance between two places of the window; at least 1.
    pub strides: Vec<usize>,
    /// What is put before and after; negative takes away.
    pub padding: Vec<(i64, i64)>,
    /// The distance between two elements of the tensor, with zeros or initial values between; at least
    /// 1. A transposed convolution is one with these above 1.
    pub base_dilations: Vec<usize>,
    /// The distance between two elements that the window reads; at least 1.
    pub window_dilations: Vec<usize>,
}

impl Window {
    /// Over `rank` dimensions by steps of one, without padding or dilation.
    pub fn plain(rank: usize) -> Self {
        Self {
            strides: vec![1; rank],
            padding: vec![(0, 0); rank],
            base_dilations: vec![1; rank],
            window_dilations: vec![1; rank],
        }
    }

    /// The number of places that a window of `sizes` takes in each dimension of `base`.
    pub(super) fn places(&self, base: &[usize], sizes: &[usize]) -> Result<Vec<usize>, String> {
        let rank = base.len();
        check::length("window sizes", sizes, rank)?;
        check::length("window strides", &self.strides, rank)?;
        check::length("paddings", &self.padding, rank)?;
        check::length("base dilations", &self.base_dilations, rank)?;
        check::length("window dilations", &self.window_dilations, rank)?;
        (0..rank).map(|i| self.places_in(i, base[i], sizes[i])).collect()
    }

    fn places_in(&self, dim: usize, base: usize, size: usize) -> Result<usize, String> {
        let (stride, base_dilation, window_dilation) =
            (self.strides[dim], self.base_dilations[dim], self.window_dilations[dim]);
        if size == 0 || stride == 0 || base_dilation == 0 || window_dilation == 0 {
            return Err(format!("window size, stride and dilations of dimension {dim} must be at least 1"));
        }
        let (low, high) = self.padding[dim];
        let overflow = || format!("the padded size of dimension {dim} is below zero or overflows");
        let base =
            i128::try_from(dilated(base, base_dilation).ok_or_else(overflow)?).map_err(|_| overflow())?;
        let padded = usize::try_from(base + i128::from(low) + i128::from(high)).map_err(|_| overflow())?;
        let window = dilated(size, window_dilation).ok_or_else(overflow)?;
        Ok(padded.checked_sub(window).map_or(0, |room| room / stride + 1))
    }

    /// The padding attribute.
    pub(super) fn padding_attribute(&self) -> Attribute {
        ("padding", padding(&self.padding))
    }

    /// The strides attribute.
    pub(super) fn strides_attribute(&self) -> Attribute {
        ("window_strides", i64_array(&self.strides))
    }
}

/// The extent of `size` elements `dilation` apart.
fn dilated(size: usize, dilation: usize) -> Option<usize> {
    match size.checked_sub(1) {
        None => Some(0),
        Some(gaps) => gaps.checked_mul(dilation)?.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let window = Window {
            strides: vec![2],
            padding: vec![(1, 2)],
            base_dilations: vec![2],
            window_dilations: vec![3],
        };
        // 5 elements become 9, padded 12; the window of 2 spans 4: starts 0, 2, 4, 6, 8.
        assert_eq!(window.places(&[5], &[2]), Ok(vec![5]));
        assert_eq!(Window::plain(1).places(&[5], &[6]), Ok(vec![0]));
        let error = Window::plain(1).places(&[5], &[0]).unwrap_err();
        assert_eq!(error, "window size, stride and dilations of dimension 0 must be at least 1");
        let narrow = Window { padding: vec![(-6, 0)], ..Window::plain(1) };
        let error = narrow.places(&[5], &[1]).unwrap_err();
        assert_eq!(error, "the padded size of dimension 0 is below zero or overflows");
    }
}
