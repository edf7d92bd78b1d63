//! Laws of weight expressions, against an evaluator that follows each term's definition index by
//! index.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use porter_ir::DType;
use porter_weights::{
    Checkpoint, Encoding, Expr, Fp8Block, GgmlType, QuantisedPart, QuantisedTo, Scheme, Use, WeightMap,
};
use proptest::prelude::*;

use crate::{
    common::{assert_same_bits, f32s, open},
    memory::Memory,
};

/// A dense array of the reference evaluator.
#[derive(Clone)]
struct Array {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Array {
    /// The array whose element at each index is `value(index)`.
    fn of(shape: Vec<usize>, value: impl Fn(&[usize]) -> f32) -> Self {
        let count: usize = shape.iter().product();
        let values = (0..count).map(|mut position| {
            let mut index = vec![0; shape.len()];
            for (i, size) in index.iter_mut().zip(&shape).rev() {
                *i = position % size;
                position /= size;
            }
            value(&index)
        });
        Self { values: values.collect(), shape }
    }

    fn at(&self, index: &[usize]) -> f32 {
        self.values[index.iter().zip(&self.shape).fold(0, |at, (i, size)| at * size + i)]
    }
}

/// `expr` by the definition of each term.
fn reference(expr: &Expr, checkpoint: &dyn Checkpoint) -> Array {
    let inputs: Vec<Array> = expr.inputs().iter().map(|e| reference(e, checkpoint)).collect();
    match expr {
        Expr::Source(name) => {
            Array { shape: checkpoint.tensors()[name].shape.to_vec(), values: f32s(checkpoint, name) }
        }
        Expr::Cast { dtype, .. } => {
            let round = |x| if *dtype == DType::BF16 { half::bf16::from_f32(x).to_f32() } else { x };
            Array::of(inputs[0].shape.clone(), |index| round(inputs[0].at(index)))
        }
        Expr::Scale { factor, .. } => {
            Array::of(inputs[0].shape.clone(), |index| inputs[0].at(index) * factor)
        }
        Expr::Permute { dims, .. } => {
            Array::of(dims.iter().map(|&dim| inputs[0].shape[dim]).collect(), |index| {
                let mut source = vec![0; index.len()];
                dims.iter().zip(index).for_each(|(&dim, &i)| source[dim] = i);
                inputs[0].at(&source)
            })
        }
        Expr::Reshape { shape, .. } => Array { shape: shape.to_vec(), values: inputs[0].values.clone() },
        Expr::Slice { ranges, .. } => {
            Array::of(ranges.iter().map(ExactSizeIterator::len).collect(), |index| {
                inputs[0].at(&index.iter().zip(ranges).map(|(i, range)| i + range.start).collect::<Vec<_>>())
            })
        }
        Expr::Concat { dim, .. } => {
            let mut shape = inputs[0].shape.clone();
            shape[*dim] = inputs.iter().map(|input| input.shape[*dim]).sum();
            Array::of(shape, |index| {
                let mut index = index.to_vec();
                let mut input = inputs.iter();
                loop {
                    let input = input.next().unwrap();
                    if index[*dim] < input.shape[*dim] {
                        return input.at(&index);
                    }
                    index[*dim] -= input.shape[*dim];
                }
            })
        }
        Expr::Stack { .. } => Array::of([&[inputs.len()], &inputs[0].shape[..]].concat(), |index| {
            inputs[index[0]].at(&index[1..])
        }),
        Expr::Pad { padding, .. } => {
            let shape = inputs[0].shape.iter().zip(padding).map(|(size, (low, high))| low + size + high);
            Array::of(shape.collect(), |index| {
                let inside: Option<Vec<usize>> = index
                    .iter()
                    .zip(padding)
                    .zip(&inputs[0].shape)
                    .map(|((i, (low, _)), size)| i.checked_sub(*low).filter(|i| i < size))
                    .collect();
                inside.map_or(0.0, |index| inputs[0].at(&index))
            })
        }
        Expr::Dequantise { scheme: Scheme::Fp8Block(Fp8Block { block: Some([high, wide]) }), .. } => {
            Array::of(inputs[0].shape.clone(), |index| {
                let [outer @ .., row, column] = index else { panic!("a matrix") };
                let scale = [outer, &[row / high, column / wide]].concat();
                inputs[0].at(index) * inputs[1].at(&scale)
            })
        }
        Expr::Dequantise { scheme, .. } => panic!("{scheme} is compared with its defining code"),
        Expr::Quantise { part, .. } => {
            let [outer @ .., columns] = &inputs[0].shape[..] else { panic!("a matrix") };
            let scale = |row: &[usize]| {
                let weights = (0..*columns).map(|column| inputs[0].at(&[row, &[column]].concat()).abs());
                let scale = weights.fold(0.0, f32::max) / 127.5;
                if scale == 0.0 { f32::EPSILON } else { scale }
            };
            match part {
                QuantisedPart::Scales => {
                    Array::of([outer, &[1]].concat(), |index| scale(&index[..outer.len()]))
                }
                QuantisedPart::Values => Array::of(inputs[0].shape.clone(), |index| {
                    let steps = inputs[0].at(index) / scale(&index[..outer.len()]);
                    steps.clamp(-128.0, 127.0).round_ties_even()
                }),
            }
        }
        Expr::Repeat { dim, times, .. } => {
            let mut shape = inputs[0].shape.clone();
            shape[*dim] *= times;
            Array::of(shape, |index| {
                let mut index = index.to_vec();
                index[*dim] /= times;
                inputs[0].at(&index)
            })
        }
    }
}

/// `expr` by the crate.
fn evaluate(expr: &Expr, checkpoint: &dyn Checkpoint) -> Vec<f32> {
    let inferred = expr.infer(checkpoint).unwrap();
    let mut bytes = vec![0xAA; inferred.shape.elements() * 4];
    expr.evaluate(checkpoint, DType::F32, &mut bytes).unwrap();
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Compares both, and the inferred shape.
fn assert_agrees(expr: &Expr, checkpoint: &dyn Checkpoint) {
    let expected = reference(expr, checkpoint);
    assert_eq!(expr.infer(checkpoint).unwrap().shape.to_vec(), expected.shape, "{expr:?}");
    assert_same_bits(&evaluate(expr, checkpoint), &expected.values, &format!("{expr:?}"));
}

/// Numbers that are all different and not exact in bf16.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| 1.0 + ((i + seed * 1009) as f32) / 1000.0).collect()
}

/// Expressions over one checkpoint, grown by random steps.
struct Growing {
    checkpoint: Memory,
    expr: Expr,
    sources: usize,
}

impl Growing {
    fn new(shape: &[usize]) -> Self {
        let mut growing = Self { checkpoint: Memory::default(), expr: Expr::source("0"), sources: 0 };
        growing.expr = growing.source(shape);
        growing
    }

    /// An expression that has grown by all `steps`.
    fn grown(shape: &[usize], steps: Vec<(u8, [usize; 4])>) -> Self {
        let mut growing = Self::new(shape);
        for (kind, dice) in steps {
            growing.grow(kind, dice);
        }
        growing
    }

    fn source(&mut self, shape: &[usize]) -> Expr {
        let name = self.sources.to_string();
        self.sources += 1;
        self.checkpoint.insert_f32(&name, shape, &numbers(shape.iter().product(), self.sources));
        Expr::source(name)
    }

    /// A quantised tensor of `shape`, in blocks of `block`.
    fn dequantised(&mut self, shape: &[usize], block: [usize; 2]) -> Expr {
        let [outer @ .., rows, columns] = shape else { panic!("a matrix") };
        let codes = (0..shape.iter().product()).map(|i: usize| (i * 37 % 127) as u8).collect();
        let weight = format!("{}.weight", self.sources);
        self.checkpoint.insert(&weight, Encoding::Plain(DType::F8E4M3FN), shape, codes);
        let scales = [outer, &[rows.div_ceil(block[0]), columns.div_ceil(block[1])]].concat();
        let scheme = Scheme::Fp8Block(Fp8Block { block: Some(block) });
        Expr::Dequantise { scheme, inputs: vec![Expr::source(weight), self.source(&scales)] }
    }

    /// Wraps the expression in the term that `kind` picks, with parameters from `dice`.
    fn grow(&mut self, kind: u8, dice: [usize; 4]) {
        let shape = self.expr.infer(&self.checkpoint).unwrap().shape.to_vec();
        let rank = shape.len();
        let dim = dice[0] % rank;
        let expr = self.expr.clone();
        self.expr = match kind {
            0 => {
                let mut dims: Vec<usize> = (0..rank).collect();
                dims.rotate_left(dice[1] % rank);
                dims.swap(dim, dice[2] % rank);
                expr.permute(dims)
            }
            1 => match shape[dim] {
                size if size.is_multiple_of(2) && rank < 4 => {
                    expr.reshape([&shape[..dim], &[2, size / 2], &shape[dim + 1..]].concat())
                }
                _ => expr.reshape([shape.iter().product::<usize>()]),
            },
            2 => {
                let mut other = shape;
                other[dim] = dice[1] % 4;
                let other = self.source(&other);
                Expr::concat(if dice[2].is_multiple_of(2) { [expr, other] } else { [other, expr] }, dim)
            }
            3 if rank < 4 => {
                let other = self.source(&shape);
                Expr::stack([other, expr])
            }
            4 => expr.pad(shape.iter().zip(dice).map(|(_, d)| (d % 3, d / 3 % 2)).collect::<Vec<_>>()),
            5 => expr.repeat(dim, 1 + dice[1] % 3),
            7 if rank > 1 && dice[1].is_multiple_of(2) => {
                expr.quantised_values(QuantisedTo::Int8).cast(DType::F32)
            }
            7 if rank > 1 => expr.quantised_scales(QuantisedTo::Int8),
            8 if rank > 1 => {
                Expr::concat([expr, self.dequantised(&shape, [1 + dice[1] % 3, 1 + dice[2] % 3])], dim)
            }
            6 => expr.slice(shape.iter().zip(dice).map(|(&n, d)| d % n.max(1) / 2..n).collect::<Vec<_>>()),
            _ => expr,
        };
    }
}

/// `range` of `dim`, and all of the other dimensions.
fn along(shape: &[usize], dim: usize, range: Range<usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<_> = shape.iter().map(|&size| 0..size).collect();
    ranges[dim] = range;
    ranges
}

/// Steps of [`Growing::grow`], of kinds below `kinds`.
fn steps(kinds: u8) -> impl Strategy<Value = Vec<(u8, [usize; 4])>> {
    prop::collection::vec((0..kinds, prop::array::uniform4(0_usize..64)), 0..5)
}

proptest! {
    #[test]
    fn every_expression_agrees_with_its_definition(
        shape in prop::collection::vec(1_usize..6, 1..4),
        steps in steps(9),
        rounded in any::<bool>(),
        scaled in any::<bool>(),
    ) {
        let mut growing = Growing::new(&shape);
        for (i, (kind, dice)) in steps.into_iter().enumerate() {
            growing.grow(kind, dice);
            if i == 1 && rounded {
                growing.expr = growing.expr.cast(DType::BF16).cast(DType::F32);
            }
            if i == 0 && scaled {
                growing.expr = growing.expr.scale(0.3);
            }
        }
        assert_agrees(&growing.expr, &growing.checkpoint);
    }

    #[test]
    fn any_run_of_an_expression_is_a_part_of_the_whole(
        shape in prop::collection::vec(1_usize..6, 1..4),
        steps in steps(9),
        cuts in prop::collection::vec(0.0..1.0, 0..6),
    ) {
        let Growing { checkpoint, expr, .. } = Growing::grown(&shape, steps);
        let whole = evaluate(&expr, &checkpoint);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut: f64| (cut * whole.len() as f64) as usize).collect();
        cuts.extend([0, whole.len()]);
        cuts.sort_unstable();
        let flat = expr.reshape([whole.len()]);
        let tiles = cuts.windows(2).map(|cut| flat.clone().slice([Range { start: cut[0], end: cut[1] }]));
        let tiles: Vec<f32> = tiles.flat_map(|tile| evaluate(&tile, &checkpoint)).collect();
        assert_same_bits(&tiles, &whole, "tiles");
    }

    #[test]
    fn a_narrowed_expression_is_a_slice_of_it(
        shape in prop::collection::vec(1_usize..6, 1..4),
        steps in steps(9),
        dice in prop::array::uniform3(0_usize..64),
    ) {
        let Growing { checkpoint, expr, .. } = Growing::grown(&shape, steps);
        let shape = expr.infer(&checkpoint).unwrap().shape.to_vec();
        let dim = dice[0] % shape.len();
        let first = dice[1] % (shape[dim] + 1);
        let range = first..first + dice[2] % (shape[dim] - first + 1);
        let narrowed = expr.narrow(dim, range.clone(), &checkpoint).unwrap();
        let sliced = expr.slice(along(&shape, dim, range));
        prop_assert_eq!(narrowed.infer(&checkpoint).unwrap(), sliced.infer(&checkpoint).unwrap());
        assert_same_bits(&evaluate(&narrowed, &checkpoint), &evaluate(&sliced, &checkpoint), "narrowed");
    }

    #[test]
    fn indices_of_the_row_dimension_are_runs_of_the_source(
        shape in prop::collection::vec(1_usize..6, 1..4),
        steps in steps(2),
        dice in 0_usize..64,
    ) {
        let Growing { checkpoint, expr, .. } = Growing::grown(&shape, steps);
        if let Some(dim) = expr.row_dim(&checkpoint).unwrap() {
            let at = dice % expr.infer(&checkpoint).unwrap().shape[dim];
            let narrowed = expr.narrow(dim, at..at + 1, &checkpoint).unwrap();
            let mut found = evaluate(&narrowed, &checkpoint);
            found.sort_by(f32::total_cmp);
            // Sources hold ascending numbers.
            let all = evaluate(&Expr::source("0"), &checkpoint);
            let first = all.iter().position(|number| number.to_bits() == found[0].to_bits()).unwrap();
            assert_same_bits(&found, &all[first..][..found.len()], "a run");
        }
    }

    #[test]
    fn every_element_is_used_as_often_as_is_claimed(
        shape in prop::collection::vec(1_usize..6, 1..4),
        steps in steps(7),
    ) {
        let Growing { checkpoint, expr, .. } = Growing::grown(&shape, steps);
        // Every element of every source has a number of its own; padding is zero.
        let (mut coded, mut codes) = (Memory::default(), 1);
        for (name, info) in checkpoint.tensors() {
            let values: Vec<f32> = (codes..).take(info.shape.elements()).map(|code| code as f32).collect();
            codes += values.len();
            coded.insert_f32(name, &info.shape, &values);
        }
        let mut found = vec![0; codes];
        for code in evaluate(&expr, &coded) {
            found[code as usize] += 1;
        }
        let mut claimed = vec![0; codes];
        for (name, uses) in expr.uses(&coded).unwrap() {
            let tensor = reference(&Expr::source(name), &coded);
            for Use { ranges, times } in uses {
                let shape: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
                let part = Array::of(shape, |index| {
                    tensor.at(&index.iter().zip(&ranges).map(|(i, range)| i + range.start).collect::<Vec<_>>())
                });
                for code in part.values {
                    claimed[code as usize] += times;
                }
            }
        }
        prop_assert_eq!(&found[1..], &claimed[1..], "{:?}", expr);
    }

    #[test]
    fn the_inverse_of_a_map_gives_its_sources_back(
        shape in prop::collection::vec(1_usize..6, 1..4),
        steps in steps(6),
    ) {
        let mut growing = Growing::new(&shape);
        for (i, (kind, dice)) in steps.into_iter().enumerate() {
            growing.grow(kind, dice);
            if i == 1 {
                growing.expr = growing.expr.scale(-0.25);
            }
        }
        let Growing { checkpoint, expr, .. } = growing;
        let mut exported = Memory::default();
        let result = expr.clone().cast(DType::F64);
        let shape = result.infer(&checkpoint).unwrap().shape;
        let mut bytes = vec![0; shape.elements() * 8];
        result.evaluate(&checkpoint, DType::F64, &mut bytes).unwrap();
        exported.insert("parameter", Encoding::Plain(DType::F64), &shape, bytes);
        let inverse = result.inverse("parameter", &checkpoint).unwrap();
        prop_assert!(inverse.keys().map(String::as_str).eq(result.sources()));
        for (source, back) in inverse {
            let expected = &checkpoint.tensors()[&source];
            let found = back.infer(&exported).unwrap();
            prop_assert_eq!((Some(found.dtype), &found.shape), (expected.encoding.dtype(), &expected.shape));
            assert_same_bits(&evaluate(&back, &exported), &f32s(&checkpoint, &source), &source);
        }
    }

    #[test]
    fn parameters_that_share_the_slices_of_a_term_give_its_sources_back(
        shape in prop::collection::vec(1_usize..6, 1..4),
        steps in steps(6),
        cuts in prop::collection::vec(0.0..1.0, 0..4),
        dice in prop::array::uniform2(0_usize..64),
    ) {
        let Growing { checkpoint, expr, .. } = Growing::grown(&shape, steps);
        let shape = expr.infer(&checkpoint).unwrap().shape.to_vec();
        let dim = dice[0] % shape.len();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut: f64| (cut * shape[dim] as f64) as usize).collect();
        cuts.extend([0, shape[dim]]);
        cuts.sort_unstable();
        cuts.dedup();
        prop_assume!(cuts.len() > 1);
        let (mut map, mut stored) = (WeightMap::new(), Memory::default());
        for (i, cut) in cuts.windows(2).enumerate() {
            let piece = expr.clone().slice(along(&shape, dim, cut[0]..cut[1]));
            let shape = piece.infer(&checkpoint).unwrap().shape;
            stored.insert_f32(&i.to_string(), &shape, &evaluate(&piece, &checkpoint));
            map.insert(i.to_string(), shape, piece);
        }
        let inverse = map.inverse(&checkpoint, |_, ty| ty.dtype).unwrap();
        prop_assert_eq!(&inverse.lost, &BTreeMap::new());
        prop_assert!(inverse.sources.keys().map(String::as_str).eq(expr.sources()));
        for (source, back) in inverse.sources {
            let written = serde_json::to_string(&back).unwrap();
            let read: Expr = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&read, &back);
            assert_same_bits(&evaluate(&read, &stored), &f32s(&checkpoint, &source), &source);
        }
        // Without one of the pieces, what stood in it is named.
        let gone = (dice[1] % (cuts.len() - 1)).to_string();
        map.retain(|name| name != gone);
        let inverse = map.inverse(&checkpoint, |_, ty| ty.dtype).unwrap();
        let named = inverse.sources.keys().chain(inverse.lost.keys()).map(String::as_str);
        let left: BTreeSet<&str> = map.sources();
        prop_assert!(named.collect::<BTreeSet<_>>() == left && (map.parameters().is_empty() || !inverse.lost.is_empty()));
    }

    #[test]
    fn slices_of_a_dimension_concatenate_to_the_whole(
        shape in prop::collection::vec(1_usize..6, 1..4),
        dim in 0_usize..3,
        cut in 0_usize..6,
    ) {
        let Growing { checkpoint, expr, .. } = Growing::new(&shape);
        let dim = dim % shape.len();
        let cut = cut.min(shape[dim]);
        let part = |range| expr.clone().slice(along(&shape, dim, range));
        let whole = Expr::concat([part(0..cut), part(cut..shape[dim])], dim);
        assert_same_bits(&evaluate(&whole, &checkpoint), &evaluate(&expr, &checkpoint), "whole");
    }
}

#[test]
fn results_of_many_pieces_agree_with_their_definition() {
    let mut checkpoint = Memory::default();
    let (rows, columns) = (611, 1031);
    checkpoint.insert_f32("a", &[rows, columns], &numbers(rows * columns, 1));
    let a = || Expr::source("a");
    assert_agrees(&a(), &checkpoint);
    assert_agrees(&a().transpose(), &checkpoint);
    assert_agrees(&a().transpose().transpose(), &checkpoint);
    assert_agrees(&a().reshape([13, 47, columns]).permute([2, 1, 0]), &checkpoint);
    assert_agrees(&Expr::concat([a().slice([3..600, 0..1031]), a()], 0), &checkpoint);
    assert_agrees(&Expr::concat([a().cast(DType::BF16).cast(DType::F32), a()], 1), &checkpoint);
}

#[test]
fn runs_that_cut_through_blocks_agree_with_their_definition() {
    let file = open("gguf/all_types.gguf");
    for (name, info) in file.tensors() {
        let columns = info.shape[1];
        let cut = Expr::source(name).slice([1..3, 5..columns - 7]);
        assert_agrees(&cut, file.as_ref());
        assert_agrees(&Expr::source(name).transpose(), file.as_ref());
    }
    assert!(file.tensors().values().any(|info| info.encoding == Encoding::Block(GgmlType::Q8_0)));
}

#[test]
fn rope_permutations_undo_each_other() {
    let Growing { checkpoint, expr, .. } = Growing::new(&[24, 3]);
    let there = expr.clone().permute_rope(3, &[24, 3]);
    assert_ne!(evaluate(&there, &checkpoint), evaluate(&expr, &checkpoint));
    let back = there.unpermute_rope(3, &[24, 3]);
    assert_same_bits(&evaluate(&back, &checkpoint), &evaluate(&expr, &checkpoint), "back");
}

#[test]
fn what_does_not_fit_is_refused_by_inference() {
    let Growing { checkpoint, expr, .. } = Growing::new(&[4, 6]);
    let e = || expr.clone();
    let refused = [
        Expr::source("absent"),
        e().permute([0, 0]),
        e().permute([0]),
        e().reshape([5, 5]),
        e().reshape([usize::MAX, 2]),
        e().slice([0..5, 0..6]),
        e().slice([Range { start: 3, end: 2 }, 0..6]),
        e().slice([0..4, 0..6, 0..1]),
        Expr::concat([e(), e()], 2),
        Expr::concat([e(), e().transpose()], 0),
        Expr::concat([e(), e().cast(DType::BF16)], 0),
        Expr::concat([], 0),
        Expr::stack([e(), e().transpose()]),
        Expr::stack([]),
        e().pad([(1, 1)]),
        e().pad([(usize::MAX, 1), (0, 0)]),
        e().pad([(usize::MAX / 2, 0), (usize::MAX / 2, 0)]),
        e().repeat(2, 2),
        e().repeat(0, 0),
        e().repeat(0, usize::MAX),
        e().cast(DType::I32),
        e().unpermute_rope(5, &[4, 6]),
        e().unpermute_rope(0, &[]),
    ];
    for expr in refused {
        assert!(expr.infer(&checkpoint).is_err(), "{expr:?}");
        assert!(expr.evaluate(&checkpoint, DType::F32, &mut []).is_err(), "{expr:?}");
    }
}

#[test]
fn what_loses_numbers_has_no_inverse() {
    let Growing { checkpoint, expr, .. } = Growing::new(&[4, 6]);
    assert!(expr.clone().cast(DType::BF16).inverse("p", &checkpoint).is_err());
    assert!(expr.clone().slice([0..4, 1..6]).inverse("p", &checkpoint).is_err());
    assert!(expr.slice([0..4, 0..6]).inverse("p", &checkpoint).is_ok());
}

#[test]
fn tensors_without_elements_are_no_trouble_however_large_they_claim_to_be() {
    let mut checkpoint = Memory::default();
    let huge = 1 << 40;
    checkpoint.insert_f32("e", &[0, huge, huge, huge], &[]);
    let e = || Expr::source("e");
    let empty = [
        e().permute([3, 2, 1, 0]),
        e().permute([0, 2, 1, 3]),
        e().reshape([huge, huge, 0]),
        e().slice([0..0, 1..huge, 5..huge, 7..huge]),
        Expr::concat([e(), e()], 1),
        Expr::concat([e(), e()], 3),
        Expr::stack([e(), e()]),
        e().pad([(0, 0), (1, 1), (huge, 0), (2, huge)]),
        e().repeat(1, 1 << 20),
    ];
    for expr in empty {
        expr.evaluate(&checkpoint, DType::F32, &mut []).unwrap();
    }
}
