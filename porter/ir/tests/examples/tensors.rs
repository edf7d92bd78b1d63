//! Ops that move elements, multiply matrices or make tensors.

use porter_ir::{
    DType, DotDimensions, GatherDimensions, Literal, OpKind, TensorType,
    ops::{
        BatchNormInference, BatchNormTraining, Convolution, CustomCall, CustomCallApi, RngAlgorithm,
        TriangularSolve,
    },
};

use super::{Devices, Example, Expected, one, program, row, tensor, zero};

fn matrix() -> Literal {
    tensor([2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])
}

pub(super) fn examples(kind: OpKind) -> Vec<Example> {
    use OpKind as K;
    match kind {
        K::BatchNormInference | K::BatchNormTraining => batch_norms(kind),
        K::BroadcastInDim => vec![one(
            [tensor([2, 1], &[1.0_f32, 2.0])],
            [tensor([2, 2, 2], &[1.0_f32, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0])],
            |b, [x]| Ok(vec![b.broadcast_in_dim(x, [2, 2, 2], &[1, 2])?]),
        )],
        K::Cholesky => cholesky(),
        K::Concatenate => vec![one(
            [matrix(), tensor([2, 1], &[7.0_f32, 8.0])],
            [tensor([2, 4], &[1.0_f32, 2.0, 3.0, 7.0, 4.0, 5.0, 6.0, 8.0])],
            |b, [x, y]| Ok(vec![b.concatenate(&[x, y], 1)?]),
        )],
        K::Constant => constants(),
        K::Convolution => convolutions(),
        K::CustomCall => vec![unknown_target()],
        K::DotGeneral => dots(),
        K::DynamicSlice => vec![one(
            [matrix(), tensor([], &[5_i32])],
            [tensor([2, 2], &[2.0_f32, 3.0, 5.0, 6.0])],
            |b, [x, at]| {
                let first = b.full_like(at, 0.0)?;
                Ok(vec![b.dynamic_slice(x, &[first, at], &[2, 2])?])
            },
        )],
        K::DynamicUpdateSlice => vec![one(
            [matrix(), tensor([1, 2], &[7.0_f32, 8.0]), tensor([], &[1_i32])],
            [tensor([2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 7.0, 8.0])],
            |b, [x, update, at]| Ok(vec![b.dynamic_update_slice(x, update, &[at, at])?]),
        )],
        K::Gather => gathers(),
        K::Iota => vec![one([], [tensor([2, 3], &[0_i32, 1, 2, 0, 1, 2])], |b, []| {
            Ok(vec![b.iota(TensorType::new(DType::I32, [2, 3]), 1)?])
        })],
        K::OptimizationBarrier => {
            vec![one([matrix(), row(&[1_i32])], [matrix(), row(&[1_i32])], |b, [x, n]| {
                b.optimization_barrier(&[x, n])
            })]
        }
        K::Pad => vec![one([row(&[1.0_f32, 2.0])], [row(&[0.0_f32, 1.0, 0.0, 0.0, 2.0])], |b, [x]| {
            Ok(vec![b.pad(x, zero(b)?, &[1], &[0], &[2])?])
        })],
        K::Reshape => {
            vec![one([matrix()], [tensor([3, 2], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])], |b, [x]| {
                Ok(vec![b.reshape(x, [3, 2])?])
            })]
        }
        K::Reverse => {
            vec![one([matrix()], [tensor([2, 3], &[3.0_f32, 2.0, 1.0, 6.0, 5.0, 4.0])], |b, [x]| {
                Ok(vec![b.reverse(x, &[1])?])
            })]
        }
        K::RngBitGenerator => random_bits(),
        K::Slice => vec![one([matrix()], [tensor([1, 2], &[4.0_f32, 6.0])], |b, [x]| {
            Ok(vec![b.slice(x, &[1, 0], &[2, 3], &[1, 2])?])
        })],
        K::TopK => vec![one(
            [tensor([1, 4], &[1.0_f32, 4.0, 2.0, 4.0])],
            [tensor([1, 3], &[4.0_f32, 4.0, 2.0]), tensor([1, 3], &[1_i32, 3, 2])],
            |b, [x]| b.top_k(x, 3),
        )],
        K::Transpose => {
            vec![one([matrix()], [tensor([3, 2], &[1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0])], |b, [x]| {
                Ok(vec![b.transpose(x, &[1, 0])?])
            })]
        }
        K::TriangularSolve => triangular(),
        _ => Vec::new(),
    }
}

/// Two rows of one feature each: mean 2, variance 1.
fn batch_norms(kind: OpKind) -> Vec<Example> {
    let x = tensor([2, 1], &[1.0_f32, 3.0]);
    let (two, one_) = (row(&[2.0_f32]), row(&[1.0_f32]));
    if kind == OpKind::BatchNormTraining {
        let op = BatchNormTraining { epsilon: 0.0, feature: 1 };
        let outputs = [tensor([2, 1], &[-1.0_f32, 3.0]), two.clone(), one_.clone()];
        return vec![one([x, two, one_], outputs, |b, [x, scale, offset]| {
            b.batch_norm_training(op, [x, scale, offset])
        })];
    }
    let op = BatchNormInference { epsilon: 3.0, feature: 1 };
    let outputs = [tensor([2, 1], &[0.0_f32, 2.0])];
    vec![one([x, two, one_], outputs, |b, [x, two, one]| {
        Ok(vec![b.batch_norm_inference(op, [x, two, one, two, one])?])
    })]
}

/// [[4, 2], [2, 5]] is [[2, 0], [1, 2]] times its transpose. The other triangle is undefined, so only
/// the lower one is kept.
fn cholesky() -> Vec<Example> {
    let a = tensor([2, 2], &[4.0_f32, 2.0, 2.0, 5.0]);
    vec![one(
        [a, tensor([2, 2], &[true, false, true, true])],
        [tensor([2, 2], &[2.0_f32, 0.0, 1.0, 2.0])],
        |b, [a, kept]| {
            let factor = b.cholesky(a, true)?;
            Ok(vec![b.select(kept, factor, b.full_like(factor, 0.0)?)?])
        },
    )]
}

fn triangular() -> Vec<Example> {
    let a = tensor([2, 2], &[2.0_f32, 0.0, 1.0, 4.0]);
    let right = tensor([2, 1], &[2.0_f32, 9.0]);
    let op = TriangularSolve { left_side: true, lower: true, unit_diagonal: false, transpose: false };
    let transposed = TriangularSolve { transpose: true, ..op.clone() };
    vec![
        one([a.clone(), right.clone()], [tensor([2, 1], &[1.0_f32, 2.0])], |b, [a, right]| {
            Ok(vec![b.triangular_solve(op, a, right)?])
        }),
        one([a, right], [tensor([2, 1], &[-0.125_f32, 2.25])], |b, [a, right]| {
            Ok(vec![b.triangular_solve(transposed, a, right)?])
        }),
    ]
}

/// Lists, hex strings, splats, bit patterns and the empty tensor, of every type.
fn constants() -> Vec<Example> {
    let many: Vec<i32> = (-20..20).collect();
    let bools: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
    let nibbles =
        |dtype, bytes: Vec<u8>| Literal::from_bytes(TensorType::new(dtype, [bytes.len()]), bytes).unwrap();
    let mut literals = vec![
        row(&many),
        row(&bools),
        row(&[f32::INFINITY, f32::NEG_INFINITY, 1e-40, 0.1, -0.0]),
        tensor::<f32>([0, 3], &[]),
        nibbles(DType::I4, (0..20_i8).map(|i| (i % 16 - 8) as u8).collect()),
        nibbles(DType::U4, (0..20).map(|i| i % 16).collect()),
        nibbles(DType::I4, vec![0xF8, 0x07]),
        nibbles(DType::F4E2M1FN, (0..16).collect()),
        nibbles(DType::F4E2M1FN, (0..20).map(|i| i % 16).collect()),
        nibbles(DType::F8E4M3FN, (0..40).collect()),
        nibbles(DType::F8E5M2, vec![0x7C, 0x01]),
    ];
    for dtype in DType::ALL {
        let splat = Literal::splat(TensorType::new(dtype, [2]), 1.0).unwrap();
        let least = Literal::least(dtype).unwrap();
        literals.extend([splat, least]);
    }
    vec![one([], literals.clone(), |b, []| literals.into_iter().map(|literal| b.constant(literal)).collect())]
}

fn convolutions() -> Vec<Example> {
    // A row of 4 with two features, and one kernel of 2 over both.
    let x = tensor([1, 2, 4], &[1.0_f32, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0]);
    let plain = Convolution::plain(1, DType::F32);
    let mut padded = plain.clone();
    padded.window.padding = vec![(1, 0)];
    padded.window.strides = vec![2];
    let mut depthwise = plain.clone();
    depthwise.feature_groups = 2;
    let kernel = tensor([1, 2, 2], &[1.0_f32, -1.0, 0.5, 0.0]);
    let single = tensor([2, 1, 1], &[2.0_f32, 3.0]);
    let convolve = |op: Convolution, kernel: &Literal, y: Literal| {
        one([x.clone(), kernel.clone()], [y], move |b, [x, w]| Ok(vec![b.convolution(op, x, w)?]))
    };
    vec![
        convolve(plain, &kernel, tensor([1, 1, 3], &[4.0_f32, 9.0, 14.0])),
        convolve(padded, &kernel, tensor([1, 1, 2], &[-1.0_f32, 9.0])),
        convolve(depthwise, &single, tensor([1, 2, 4], &[2.0_f32, 4.0, 6.0, 8.0, 30.0, 60.0, 90.0, 120.0])),
    ]
}

/// The form is read, and only then the target looked up.
fn unknown_target() -> Example {
    let x = row(&[1.0_f32]);
    let op = CustomCall {
        target: "nowhere_registered".to_owned(),
        api: CustomCallApi::TypedFfi(vec![("n".to_owned(), porter_ir::AttributeValue::I64(3))]),
        has_side_effect: true,
        results: vec![x.ty().clone()],
    };
    Example {
        program: program(&[x.ty()], |b, args| b.custom_call(op, args)),
        devices: Devices::One,
        inputs: vec![vec![x]],
        expected: Expected::Refused("nowhere_registered"),
    }
}

fn dots() -> Vec<Example> {
    let x = tensor([1, 2, 2], &[1.0_f32, 2.0, 3.0, 4.0]);
    let batched = DotDimensions {
        lhs_batching: vec![0],
        rhs_batching: vec![0],
        lhs_contracting: vec![2],
        rhs_contracting: vec![1],
    };
    vec![
        one([x.clone(), x.clone()], [tensor([1, 2, 2], &[7.0_f32, 10.0, 15.0, 22.0])], |b, [x, y]| {
            Ok(vec![b.dot_general(x, y, batched, DType::F32)?])
        }),
        one([row(&[100_i8, 100]), tensor([1, 2], &[100_i8, 100])], [row(&[20_000_i32])], |b, [x, w]| {
            Ok(vec![b.linear(x, w, DType::I32)?])
        }),
    ]
}

/// Rows of a table, the last one through clamping; and the example of the specification.
fn gathers() -> Vec<Example> {
    let table = tensor([3, 2], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let rows =
        one([table, row(&[1_i32, 9])], [tensor([2, 2], &[3.0_f32, 4.0, 5.0, 6.0])], |b, [table, ids]| {
            Ok(vec![b.embedding(table, ids)?])
        });
    let operand: Vec<i32> = (1..=48).collect();
    let indices = [0_i64, 0, 1, 0, 2, 1, 0, 1, 1, 1, 0, 9, 0, 0, 2, 1, 2, 2, 1, 2, 0, 1, 1, 0];
    let dimensions = GatherDimensions {
        offset_dims: vec![3, 4],
        collapsed_slice_dims: vec![1],
        operand_batching_dims: vec![0],
        start_indices_batching_dims: vec![1],
        start_index_map: vec![2, 1],
        index_vector_dim: 3,
    };
    let batched = one(
        [tensor([2, 3, 4, 2], &operand), tensor([2, 2, 3, 2], &indices)],
        [tensor([2, 2, 3, 2, 2], &specification_gather())],
        |b, [x, at]| Ok(vec![b.gather(x, at, dimensions, &[1, 1, 2, 2])?]),
    );
    vec![rows, batched]
}

/// The result that the specification's example states: the four elements of each slice follow on one
/// another.
fn specification_gather() -> Vec<i32> {
    [1, 3, 13, 33, 35, 41, 1, 13, 21, 43, 33, 27].into_iter().flat_map(|first| first..first + 4).collect()
}

/// Threefry 2x32 of 20 rounds with zero key and counter: the known answer of the Random123 library.
fn random_bits() -> Vec<Example> {
    let known = one([row(&[0_u64, 0])], [row(&[0x6B20_0159_u32, 0x99BA_4EFE])], |b, [state]| {
        let bits = TensorType::new(DType::U32, [2]);
        Ok(vec![b.rng_bit_generator(state, RngAlgorithm::ThreeFry, bits)?[1]])
    });
    let state = row(&[0_u64, 0]);
    // The state moves on, so that the next bits are others.
    let moves = |algorithm| {
        one([state.clone()], [row(&[true])], |b, [state]| {
            let next = b.rng_bit_generator(state, algorithm, TensorType::new(DType::U32, [8]))?[0];
            let moved = b.compare(state, next, porter_ir::Direction::Ne)?;
            let any = b.reduce_max(moved, &[0])?;
            Ok(vec![b.reshape(any, [1])?])
        })
    };
    vec![known, moves(RngAlgorithm::Philox), moves(RngAlgorithm::Default)]
}
