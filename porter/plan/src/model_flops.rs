//! What a model asks for, before a compiler sees it.

use porter_ir::{
    DType, Direction, Op, Program, RegionId, Value,
    ops::{Convolution, DotGeneral},
    program::OpData,
};

use crate::window::{Features, Window, convolution_flops};

/// The operations of a program's matrix products and convolutions, a multiplication and its addition as two. Ops inside
/// a loop count as often as it turns, where that is a constant, or once; of a mixture of experts (`porter.experts`) those
/// of the experts that a token takes; what a window reads of padding does not count.
///
/// This is the numerator of MFU: what the model needs, not what a compiler makes of it.
pub fn model_flops(program: &Program) -> f64 {
    of_region(program, program.body())
}

fn of_region(program: &Program, region: RegionId) -> f64 {
    let ops = program.region(region).ops.iter().map(|&op| program.op(op));
    let of_op = |data: &OpData| {
        let inside: f64 = data.regions.iter().map(|&region| of_region(program, region)).sum();
        flops(program, data) + inside * times(program, data)
    };
    ops.map(of_op).sum()
}

/// How often what is inside an op happens.
fn times(program: &Program, data: &OpData) -> f64 {
    match &data.op {
        Op::While(_) => turns(program, data).unwrap_or(1.0),
        Op::Composite(composite) if composite.name == "porter.experts" => share_of_experts(program, data),
        _ => 1.0,
    }
}

/// The turns of a loop that counts its first value up to a constant.
fn turns(program: &Program, data: &OpData) -> Option<f64> {
    let condition = program.region(*data.regions.first()?);
    let &[goes_on] = &condition.results[..] else { return None };
    let compare = program.giver(goes_on)?;
    let (Op::Compare(op), &[counted, limit]) = (&compare.op, &compare.operands[..]) else { return None };
    let Op::Constant(constant) = &program.giver(limit)?.op else { return None };
    let limit = i32::from_le_bytes(constant.value.splat_bytes()?.try_into().ok()?);
    let is_i32 = program.ty(counted).dtype == DType::I32;
    let counts = is_i32 && op.direction == Direction::Lt && condition.arguments.first() == Some(&counted);
    counts.then_some(f64::from(limit))
}

/// Of a layer's experts, those that a token takes.
fn share_of_experts(program: &Program, data: &OpData) -> f64 {
    let &[_, _, chosen, gate, ..] = &data.operands[..] else { return 1.0 };
    let taken = program.ty(chosen).shape.last().copied().unwrap_or(1);
    taken as f64 / size(program, gate, 0) as f64
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
    use porter_ir::{Builder, DotDimensions, TensorType};

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
    fn a_loop_counts_its_turns_and_a_mixture_the_experts_that_a_token_takes() {
        let b = Builder::new("main");
        let x = b.argument("x", ty(&[4, 4])).unwrap();
        let n = b.full(TensorType::scalar(DType::I32), 0.0).unwrap();
        let seven = b.full_like(n, 7.0).unwrap();
        let ended = b.while_(
            &[n, x],
            |b, now| b.compare(now[0], seven, Direction::Lt),
            |b, now| Ok(vec![b.add_scalar(now[0], 1.0)?, b.linear(now[1], now[1], DType::F32)?]),
        );
        let x = ended.unwrap()[1];
        let chosen = b.iota(TensorType::new(DType::I32, [4, 2]), 0).unwrap();
        let experts = b.argument("gate", ty(&[8, 4, 4])).unwrap();
        let operands = [x, x, chosen, experts];
        let mixed = b.composite("porter.experts", vec![], &operands, |b, operands| {
            let dims = DotDimensions {
                lhs_contracting: vec![1],
                rhs_contracting: vec![2],
                ..DotDimensions::default()
            };
            Ok(vec![b.dot_general(operands[0], operands[3], dims, DType::F32)?])
        });
        b.result("y", mixed.unwrap()[0]).unwrap();
        assert_eq!(model_flops(&b.finish()), 7.0 * 2.0 * 64.0 + 2.0 * 64.0 * 2.0);
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
