//! The operations of matrix products.

use super::proto::{ConvolutionDimensions, DotDimensions, Instruction, WindowDimension};

/// Positions of a window that are counted one by one; beyond it, all are taken to be inside.
const COUNTED: f64 = 1e8;

/// The operations of a `dot` or a `convolution`, a multiplication and its addition as two.
pub(super) fn flops(instruction: &Instruction, lhs: Option<&[u64]>, rhs: Option<&[u64]>) -> f64 {
    let output: Vec<u64> =
        instruction.shape.iter().flat_map(|shape| &shape.dimensions).map(|&dim| size(dim)).collect();
    let all = |dims: &[u64]| dims.iter().map(|&dim| dim as f64).product::<f64>();
    match (&*instruction.opcode, &instruction.dot, &instruction.convolution) {
        ("dot", Some(DotDimensions { lhs_contracting }), _) => {
            let contracted = lhs_contracting.iter().map(|&dim| at(lhs, dim) as f64);
            2.0 * all(&output) * contracted.product::<f64>()
        }
        ("convolution", _, Some(dims)) => convolution(instruction, dims, lhs, rhs, &output),
        _ => 0.0,
    }
}

/// As XLA's cost analysis counts: of every spatial dimension the pairs of an output and a window position
/// that meet an element of the input, and neither padding nor the gaps of a dilation.
fn convolution(
    instruction: &Instruction,
    dims: &ConvolutionDimensions,
    lhs: Option<&[u64]>,
    rhs: Option<&[u64]>,
    output: &[u64],
) -> f64 {
    let windows = instruction.window.iter().flat_map(|window| &window.dimensions);
    let spatial = windows.enumerate().map(|(i, window)| {
        let input = dims.input_spatial.get(i).map_or(1, |&dim| at(lhs, dim));
        let output = dims.output_spatial.get(i).map_or(1, |&dim| at(Some(output), dim));
        valid(window, input, output)
    });
    let batch = at(Some(output), dims.output_batch) as f64;
    let features = at(Some(output), dims.output_feature) as f64;
    let groups = instruction.batch_group_count.max(1) as f64;
    let contracted = at(rhs, dims.kernel_input_feature) as f64;
    2.0 * batch * features * contracted * spatial.product::<f64>() / groups
}

fn valid(window: &WindowDimension, input: u64, output: u64) -> f64 {
    let positive = |value: i64| value.max(1) as i128;
    let (stride, window_dilation, base_dilation) =
        (positive(window.stride), positive(window.window_dilation), positive(window.base_dilation));
    let size = size(window.size);
    if size as f64 * output as f64 > COUNTED {
        return size as f64 * output as f64;
    }
    let inside = |kernel: u64, out: u64| {
        let place =
            i128::from(out) * stride - i128::from(window.padding_low) + i128::from(kernel) * window_dilation;
        place >= 0 && place % base_dilation == 0 && place / base_dilation < i128::from(input)
    };
    let count = |kernel: u64| (0..output).filter(|&out| inside(kernel, out)).count() as f64;
    (0..size).map(count).sum()
}

fn size(dim: i64) -> u64 {
    u64::try_from(dim).unwrap_or(0)
}

fn at(dims: Option<&[u64]>, dim: i64) -> u64 {
    usize::try_from(dim).ok().and_then(|dim| dims?.get(dim).copied()).unwrap_or(1)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "whole numbers")]
mod tests {
    use super::*;

    fn window(size: i64, stride: i64, padding_low: i64, base_dilation: i64) -> WindowDimension {
        WindowDimension { size, stride, padding_low, window_dilation: 1, base_dilation }
    }

    /// A batched product over a dimension of 8, written as XLA writes it: the input dilated so that each
    /// window position meets one element of each output.
    #[test]
    fn a_batch_written_as_a_window_counts_once_an_element() {
        assert_eq!(valid(&window(8, 7, 0, 8), 8, 8), 8.0);
        assert_eq!(valid(&window(3, 1, 1, 1), 5, 5), 13.0);
        assert_eq!(valid(&window(i64::MAX, 0, i64::MIN, -1), 5, 5), 5.0 * i64::MAX as f64);
    }
}
