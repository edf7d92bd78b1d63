//! The operations of matrix products.

use super::proto::{ConvolutionDimensions, DotDimensions, Instruction, WindowDimension};
use crate::window::{Features, Window, convolution_flops};

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

fn convolution(
    instruction: &Instruction,
    dims: &ConvolutionDimensions,
    lhs: Option<&[u64]>,
    rhs: Option<&[u64]>,
    output: &[u64],
) -> f64 {
    let windows = instruction.window.iter().flat_map(|window| &window.dimensions);
    let spatial = windows.enumerate().map(|(i, dimension)| {
        let input = dims.input_spatial.get(i).map_or(1, |&dim| at(lhs, dim));
        let output = dims.output_spatial.get(i).map_or(1, |&dim| at(Some(output), dim));
        (window(dimension), input, output)
    });
    let features = Features {
        batch: at(Some(output), dims.output_batch) as f64,
        given: at(Some(output), dims.output_feature) as f64,
        contracted: at(rhs, dims.kernel_input_feature) as f64,
        batch_groups: instruction.batch_group_count.max(1) as f64,
    };
    convolution_flops(features, spatial)
}

fn window(dimension: &WindowDimension) -> Window {
    let &WindowDimension { size: elements, stride, padding_low, window_dilation, base_dilation } = dimension;
    Window { size: size(elements), stride, padding_low, dilation: window_dilation, base_dilation }
}

fn size(dim: i64) -> u64 {
    u64::try_from(dim).unwrap_or(0)
}

fn at(dims: Option<&[u64]>, dim: i64) -> u64 {
    usize::try_from(dim).ok().and_then(|dim| dims?.get(dim).copied()).unwrap_or(1)
}
