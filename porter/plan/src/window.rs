//! The operations of convolutions.

/// Positions of a window that are counted one by one; beyond it, all are taken to be inside.
const COUNTED: f64 = 4e6;

/// A window over one spatial dimension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The elements that it reads.
    pub(crate) size: u64,
    pub(crate) stride: i64,
    pub(crate) padding_low: i64,
    pub(crate) dilation: i64,
    pub(crate) base_dilation: i64,
}

/// The sizes of a convolution that are not spatial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    /// The batch of the output.
    pub(crate) batch: f64,
    /// The features of the output.
    pub(crate) given: f64,
    /// The input features of the kernel, those of one group.
    pub(crate) contracted: f64,
    /// Groups of the batch.
    pub(crate) batch_groups: f64,
}

/// As XLA's cost analysis counts: of every spatial dimension the pairs of an output and a window position
/// that meet an element of the input, and neither padding nor the gaps of a dilation. `spatial` has each
/// dimension's window, and its sizes in the input and the output.
pub(crate) fn convolution_flops(
    features: Features,
    spatial: impl Iterator<Item = (Window, u64, u64)>,
) -> f64 {
    let Features { batch, given, contracted, batch_groups } = features;
    let met = spatial.map(|(window, input, output)| window.meets(input, output));
    2.0 * batch * given * contracted * met.product::<f64>() / batch_groups
}

impl Window {
    /// How many pairs of one of `output` places and a position in the window meet one of `input` elements.
    fn meets(&self, input: u64, output: u64) -> f64 {
        let positive = |value: i64| i128::from(value.max(1));
        let (stride, window_dilation, base_dilation) =
            (positive(self.stride), positive(self.dilation), positive(self.base_dilation));
        if self.size as f64 * output as f64 > COUNTED {
            return self.size as f64 * output as f64;
        }
        let inside = |kernel: u64, out: u64| {
            let place = i128::from(out) * stride - i128::from(self.padding_low)
                + i128::from(kernel) * window_dilation;
            place >= 0 && place % base_dilation == 0 && place / base_dilation < i128::from(input)
        };
        let count = |kernel: u64| (0..output).filter(|&out| inside(kernel, out)).count() as f64;
        (0..self.size).map(count).sum()
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "whole numbers")]
mod tests {
    use super::*;

    fn window(size: u64, stride: i64, padding_low: i64, base_dilation: i64) -> Window {
        Window { size, stride, padding_low, dilation: 1, base_dilation }
    }

    /// A batched product over a dimension of 8, written as XLA writes it: the input dilated so that each
    /// window position meets one element of each output.
    #[test]
    fn a_batch_written_as_a_window_counts_once_an_element() {
        assert_eq!(window(8, 7, 0, 8).meets(8, 8), 8.0);
        assert_eq!(window(3, 1, 1, 1).meets(5, 5), 13.0);
        let huge = i64::MAX as u64;
        assert_eq!(window(huge, 0, i64::MIN, -1).meets(5, 5), 5.0 * i64::MAX as f64);
    }
}
