//! What a model asks for, before a compiler sees it.

use porter_ir::{
    Op, Program, Value,
    ops::{Convolution, DotGeneral},
    program::OpData,
};

use crate::window::{Features, Window, convolution_flops};

/// The operations of a program's matrix products and convolutions, a multiplication and its addition as two. Ops inside
/// a loop count once; what a window reads of padding does not count.
///
/// This is the numerator of MFU: what the model needs, not what a compiler makes of it.
pub fn model_flops(program: &Program) -> f64 {
    program.ops().map(|(_, data)| flops(program, data)).sum()
}

fn flops(program: &Program, data: &OpData) -> f64 {
    match (&data.op, &data.operands[..], &data.results[..]) {
        (Op::DotGeneral(op), &[lhs, _], &[result]) => dot(program, op, lhs, result),
        (Op::Convolution(op), &[input, kernel], &[result]) => {
            convolution(program, op, [input, kernel], result)
        }
        _ => 0.0,
    }
}

/// The size of a dimension.
fn size(program: &Program, value: Value, dim: usize) -> usize {
    program.ty(value).shape.get(dim).copied().unwrap_or(1)
}

fn dot(program: &Program, op: &DotGeneral, lhs: Value, result: Value) -> f64 {
    let contracted = op.dimensions.lhs_contracting.iter().map(|&dim| size(program, lhs, dim) as f64);
    2.0 * contracted.product::<f64>() * program.ty(result).shape.elements() as f64
}

fn convolution(program: &Program, op: &Convolution, [input, kernel]: [Value; 2], result: Value) -> f64 {
    let of = |value, dim: Option<&usize>| dim.map_or(1, |&dim| size(program, value, dim));
    let windows = (0..op.input.spatial.len()).map(|i| {
        let distance =
            |steps: &[usize]| steps.get(i).map_or(1, |&step| i64::try_from(step).unwrap_or(i64::MAX));
        let window = Window {
            size: of(kernel, op.kernel.spatial.get(i)) as u64,
            stride: distance(&op.window.strides),
            padding_low: op.window.padding.get(i).map_or(0, |(low, _)| *low),
            dilation: distance(&op.window.window_dilations),
            base_dilation: distance(&op.window.base_dilations),
        };
        let (input, output) = (of(input, op.input.spatial.get(i)), of(result, op.output.spatial.get(i)));
        (window, input as u64, output as u64)
    });
    let features = Features {
        batch: size(program, result, op.output.outer) as f64,
        given: size(program, result, op.output.feature) as f64,
        contracted: size(program, kernel, op.kernel.feature) as f64,
        batch_groups: op.batch_groups.max(1) as f64,
    };
    convolution_flops(features, windows)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "whole numbers")]
mod tests {
    use porter_ir::{Builder, DType, TensorType};

    use super::*;

    fn ty(shape: &[usize]) -> TensorType {
        TensorType::new(DType::F32, shape)
    }

    /// By hand: a window of 3 over 9 elements by twos, one of padding before and after, meets 2 + 3 + 3 + 3 + 2; one
    /// that is 2 apart, over 8 without padding, 3 in each of 4 places. Each kernel sees 2 of 4 features, and there are 6.
    #[test]
    fn a_convolution_counts_what_its_windows_meet() {
        let b = Builder::new("main");
        let x = b.argument("x", ty(&[5, 4, 9, 8])).unwrap();
        let w = b.weight("w", ty(&[6, 2, 3, 3])).unwrap();
        let mut op = Convolution { feature_groups: 2, ..Convolution::plain(2, DType::F32) };
        op.window.strides = vec![2, 1];
        op.window.padding = vec![(1, 1), (0, 0)];
        op.window.window_dilations = vec![1, 2];
        let y = b.convolution(op, x, w).unwrap();
        assert_eq!(b.ty(y), ty(&[5, 6, 5, 4]));
        b.result("y", y).unwrap();
        assert_eq!(model_flops(&b.finish()), 2.0 * 5.0 * 6.0 * 2.0 * 13.0 * 12.0);
    }

    #[test]
    fn a_product_counts_each_multiplication_and_its_addition() {
        let b = Builder::new("main");
        let x = b.argument("x", ty(&[2, 3, 8])).unwrap();
        let w = b.weight("w", ty(&[6, 8])).unwrap();
        b.result("y", b.linear(x, w, DType::F32).unwrap()).unwrap();
        assert_eq!(model_flops(&b.finish()), 2.0 * (2 * 3 * 6 * 8) as f64);
    }
}
