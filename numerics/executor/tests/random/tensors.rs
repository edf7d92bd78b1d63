//! Random programs of ops that move elements or multiply matrices.

use porter_ir::{
    DType, DotDimensions, GatherDimensions, Literal, OpKind, TensorType, Value,
    ops::{
        BatchNormInference, BatchNormTraining, Convolution, ConvolutionLayout, RngAlgorithm, TriangularSolve,
        Window,
    },
};

use super::draw::{Case, Elements, Tolerance, ulp};

pub(super) fn instance(kind: OpKind, dtype: DType, case: &mut Case<'_>) -> bool {
    use OpKind as K;
    match kind {
        K::BatchNormInference | K::BatchNormTraining => batch_norm(kind, dtype, case),
        K::BitcastConvert => bitcasts(dtype, case),
        K::BroadcastInDim => broadcast(dtype, case),
        K::Cholesky => cholesky(dtype, case),
        K::Concatenate => concatenate(dtype, case),
        K::Constant => constant(dtype, case),
        K::Convolution => convolution(dtype, case),
        K::DotGeneral => dot(dtype, case),
        K::DynamicSlice | K::DynamicUpdateSlice => dynamic(kind, dtype, case),
        K::Gather => gather(dtype, case),
        K::Iota => {
            let shape = case.draw.shape(1, 3);
            let dimension = case.draw.size(0, shape.len() - 1);
            let y = case.b.iota(TensorType::new(dtype, shape), dimension).unwrap();
            case.exactly(y);
        }
        K::OptimizationBarrier => {
            let shape = case.draw.shape(0, 3);
            let x = case.input(dtype, &shape, Elements::Any);
            let n = case.input(DType::I32, &[2], Elements::Any);
            for y in case.b.optimization_barrier(&[x, n]).unwrap() {
                case.exactly(y);
            }
        }
        K::Pad => pad(dtype, case),
        K::Reshape => {
            let shape = case.draw.shape(1, 4);
            let x = case.input(dtype, &shape, Elements::Any);
            let dims = case.draw.shuffled(shape.len());
            let mut other: Vec<usize> = dims.iter().map(|&dim| shape[dim]).collect();
            let (first, rest) = (other[0], other.split_off(1));
            let merged = rest.iter().product();
            let to = if case.draw.chance(2) { vec![merged, first] } else { vec![first, 1, merged] };
            let y = case.b.reshape(x, to).unwrap();
            case.exactly(y);
        }
        K::Reverse => {
            let shape = case.draw.shape(1, 4);
            let x = case.input(dtype, &shape, Elements::Any);
            let dims = case.draw.some(shape.len());
            let y = case.b.reverse(x, &dims).unwrap();
            case.exactly(y);
        }
        K::RngBitGenerator => random_bits(dtype, case),
        K::Slice => slice(dtype, case),
        K::TopK => top_k(dtype, case),
        K::Transpose => {
            let shape = case.draw.shape(0, 4);
            let x = case.input(dtype, &shape, Elements::Any);
            let dims = case.draw.shuffled(shape.len());
            let y = case.b.transpose(x, &dims).unwrap();
            case.exactly(y);
        }
        K::TriangularSolve => triangular(dtype, case),
        _ => return false,
    }
    true
}

/// A variance of nearly zero would divide by nearly nothing: epsilon keeps it away.
fn batch_norm(kind: OpKind, dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.solid(2, 4);
    let feature = case.draw.size(0, shape.len() - 1);
    let features = [shape[feature]];
    let x = case.input(dtype, &shape, Elements::Moderate);
    let (scale, offset) =
        (case.input(dtype, &features, Elements::Moderate), case.input(dtype, &features, Elements::Moderate));
    // Values up to 8, normed by at least 1/2 and scaled by up to 8: each of some eight steps there rounds to
    // the type, at 128 times its unit at most.
    let tolerance = Tolerance { ulps: 4.0, absolute: 8.0 * ulp(dtype, 128.0) };
    if kind == OpKind::BatchNormTraining {
        let op = BatchNormTraining { epsilon: 0.25, feature };
        for y in case.b.batch_norm_training(op, [x, scale, offset]).unwrap() {
            case.gives(y, tolerance);
        }
        return;
    }
    let mean = case.input(dtype, &features, Elements::Moderate);
    let variance = case.input(dtype, &features, Elements::Positive);
    let op = BatchNormInference { epsilon: 0.25, feature };
    let y = case.b.batch_norm_inference(op, [x, scale, offset, mean, variance]).unwrap();
    case.gives(y, tolerance);
}

fn bitcasts(dtype: DType, case: &mut Case<'_>) {
    for to in DType::ALL {
        let mut shape = case.draw.shape(0, 2);
        if to.bits() > dtype.bits() {
            shape.push(to.bits() / dtype.bits());
        }
        let probe = case.b.at("probe");
        if to == DType::Bool || to == dtype {
            continue;
        }
        // Bits of a float that is no NaN, so that nothing may change them on the way.
        let x = case.input(dtype, &shape, Elements::Moderate);
        let y = probe.bitcast_convert(x, to).unwrap();
        case.exactly(y);
    }
}

fn broadcast(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.shape(0, 4);
    let dims: Vec<usize> = case.draw.some(shape.len());
    let order = case.draw.shuffled(dims.len());
    let dims: Vec<usize> = order.iter().map(|&i| dims[i]).collect();
    let sizes: Vec<usize> =
        dims.iter().map(|&dim| if case.draw.chance(3) { 1 } else { shape[dim] }).collect();
    let x = case.input(dtype, &sizes, Elements::Any);
    let y = case.b.broadcast_in_dim(x, shape, &dims).unwrap();
    case.exactly(y);
}

/// A matrix times its transpose, with a heavy diagonal.
fn cholesky(dtype: DType, case: &mut Case<'_>) {
    let n = case.draw.size(1, 4);
    let batch = case.draw.solid(0, 1);
    let shape = [&batch[..], &[n, n]].concat();
    let a = case.input(dtype, &shape, Elements::Whole);
    let rank = shape.len();
    let dims = DotDimensions {
        lhs_batching: (0..rank - 2).collect(),
        rhs_batching: (0..rank - 2).collect(),
        lhs_contracting: vec![rank - 1],
        rhs_contracting: vec![rank - 1],
    };
    let square = case.b.dot_general(a, a, dims, dtype).unwrap();
    let iota = |dim| case.b.iota(TensorType::new(DType::I32, &shape[..]), dim).unwrap();
    let diagonal = case.b.compare(iota(rank - 2), iota(rank - 1), porter_ir::Direction::Eq).unwrap();
    let heavy = case.b.full(TensorType::new(dtype, &shape[..]), 4.0).unwrap();
    let zero = case.b.full(TensorType::new(dtype, &shape[..]), 0.0).unwrap();
    let a = case.b.add(square, case.b.select(diagonal, heavy, zero).unwrap()).unwrap();
    let lower = case.draw.chance(2);
    let factor = case.b.cholesky(a, lower).unwrap();
    let direction = if lower { porter_ir::Direction::Ge } else { porter_ir::Direction::Le };
    // The other triangle is undefined.
    let kept = case.b.compare(iota(rank - 2), iota(rank - 1), direction).unwrap();
    let y = case.b.select(kept, factor, zero).unwrap();
    case.gives(y, Tolerance { ulps: 4.0, absolute: 16.0 * ulp(dtype, 4.0) });
}

fn triangular(dtype: DType, case: &mut Case<'_>) {
    let (n, other) = (case.draw.size(1, 4), case.draw.size(1, 3));
    let batch = case.draw.solid(0, 1);
    let op = TriangularSolve {
        left_side: case.draw.chance(2),
        lower: case.draw.chance(2),
        unit_diagonal: case.draw.chance(2),
        transpose: case.draw.chance(2),
    };
    let shape = [&batch[..], &[n, n]].concat();
    let right = if op.left_side { [n, other] } else { [other, n] };
    let a = case.input(dtype, &shape, Elements::Whole);
    // Diagonals of 3 to 5, so that errors do not grow.
    let rank = shape.len();
    let iota = |dim| case.b.iota(TensorType::new(DType::I32, &shape[..]), dim).unwrap();
    let diagonal = case.b.compare(iota(rank - 2), iota(rank - 1), porter_ir::Direction::Eq).unwrap();
    let five = case.b.full(TensorType::new(dtype, &shape[..]), 4.0).unwrap();
    let a = case.b.select(diagonal, five, a).unwrap();
    let right = case.input(dtype, &[&batch[..], &right].concat(), Elements::Whole);
    let y = case.b.triangular_solve(op.clone(), a, right).unwrap();
    // With ones on the diagonal entries of up to 2 may grow a value to 2 * 3^3, and its error as well.
    case.gives(y, Tolerance { ulps: 4.0, absolute: 64.0 * ulp(dtype, 64.0) });
}

fn concatenate(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.shape(1, 3);
    let dimension = case.draw.size(0, shape.len() - 1);
    let count = case.draw.size(1, 3);
    let parts: Vec<Value> = (0..count)
        .map(|_| {
            let mut shape = shape.clone();
            shape[dimension] = case.draw.size(0, 3);
            case.input(dtype, &shape, Elements::Any)
        })
        .collect();
    let y = case.b.concatenate(&parts, dimension).unwrap();
    case.exactly(y);
}

fn constant(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.shape(0, 2);
    // Drawn as an input is, and then written into the program.
    let x = case.input(dtype, &shape, Elements::Moderate);
    let literal = case.inputs.last().unwrap().clone();
    let splat = Literal::splat(TensorType::new(dtype, shape), 1.0).unwrap();
    for y in [x, case.b.constant(literal).unwrap(), case.b.constant(splat).unwrap()] {
        case.exactly(y);
    }
}

/// What the products of two types are summed to.
fn product_type(dtype: DType, case: &mut Case<'_>) -> DType {
    match dtype {
        DType::I8 | DType::U8 if case.draw.chance(2) => DType::I32,
        DType::BF16 | DType::F16 | DType::F8E4M3FN | DType::F8E5M2 if case.draw.chance(2) => DType::F32,
        same => same,
    }
}

/// Of whole numbers every order of summation gives the same; of others each product and each sum rounds, in
/// f32 at least, and the result once more.
fn sum_tolerance(dtype: DType, elements: Elements, length: usize) -> Tolerance {
    if elements == Elements::Whole || !dtype.is_float() {
        return Tolerance::EXACT;
    }
    let accumulator = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let sums = length as f64 * 2.0 * ulp(accumulator, 64.0 * length as f64);
    Tolerance { ulps: 1.0, absolute: sums }
}

fn dot(dtype: DType, case: &mut Case<'_>) {
    let (batch, contract) = (case.draw.solid(0, 2), case.draw.shape(0, 2));
    let side = |case: &mut Case<'_>| {
        let free = case.draw.shape(0, 2);
        let sizes = [&batch[..], &contract, &free].concat();
        let order = case.draw.shuffled(sizes.len());
        let shape: Vec<usize> = order.iter().map(|&i| sizes[i]).collect();
        let at = |i: usize| order.iter().position(|&j| j == i).unwrap();
        let batching: Vec<usize> = (0..batch.len()).map(at).collect();
        let contracting: Vec<usize> = (batch.len()..batch.len() + contract.len()).map(at).collect();
        (shape, batching, contracting)
    };
    let (lhs, lhs_batching, lhs_contracting) = side(case);
    let (rhs, rhs_batching, rhs_contracting) = side(case);
    let elements = case.draw.pick(&[Elements::Whole, Elements::Moderate]);
    let (x, y) = (case.input(dtype, &lhs, elements), case.input(dtype, &rhs, elements));
    let output = product_type(dtype, case);
    let dims = DotDimensions { lhs_batching, rhs_batching, lhs_contracting, rhs_contracting };
    let z = case.b.dot_general(x, y, dims, output).unwrap();
    case.gives(z, sum_tolerance(output, elements, contract.iter().product()));
}

fn layout(case: &mut Case<'_>, spatial: usize) -> ConvolutionLayout {
    let dims = case.draw.shuffled(spatial + 2);
    ConvolutionLayout { outer: dims[0], feature: dims[1], spatial: dims[2..].to_vec() }
}

fn arrange(layout: &ConvolutionLayout, outer: usize, feature: usize, spatial: &[usize]) -> Vec<usize> {
    let mut shape = vec![0; spatial.len() + 2];
    (shape[layout.outer], shape[layout.feature]) = (outer, feature);
    for (&dim, &size) in layout.spatial.iter().zip(spatial) {
        shape[dim] = size;
    }
    shape
}

fn convolution(dtype: DType, case: &mut Case<'_>) {
    let spatial = case.draw.size(0, 3);
    let (feature_groups, batch_groups) = case.draw.pick(&[(1, 1), (1, 1), (2, 1), (3, 1), (1, 2)]);
    let plain = case.draw.chance(3);
    let mut size = |low, high, or: usize| -> Vec<usize> {
        (0..spatial).map(|_| if plain { or } else { case.draw.size(low, high) }).collect()
    };
    let (strides, base_dilations, window_dilations) = (size(1, 3, 1), size(1, 2, 1), size(1, 2, 1));
    let (space, kernel) = (size(1, 6, 5), size(1, 3, 2));
    let padding = (0..spatial).map(|_| (case.draw.within(-1, 2), case.draw.within(0, 2))).collect();
    let op = Convolution {
        input: layout(case, spatial),
        kernel: layout(case, spatial),
        output: layout(case, spatial),
        window: Window { strides, padding, base_dilations, window_dilations },
        feature_groups,
        batch_groups,
        dtype: product_type(dtype, case),
    };
    let taken = case.draw.size(1, 3);
    let input = arrange(&op.input, case.draw.size(1, 2) * batch_groups, taken * feature_groups, &space);
    let outputs = case.draw.size(1, 2) * feature_groups * batch_groups;
    let weights = arrange(&op.kernel, outputs, taken, &kernel);
    let elements = case.draw.pick(&[Elements::Whole, Elements::Moderate]);
    let (x, w) = (case.input(dtype, &input, elements), case.input(dtype, &weights, elements));
    let output = op.dtype;
    let y = case.b.convolution(op, x, w).unwrap();
    let length = taken * kernel.iter().product::<usize>();
    let tolerance = match output {
        // The plugin rounds every product and every sum of them to the type itself.
        DType::F4E2M1FN | DType::F8E4M3FN | DType::F8E5M2 => {
            Tolerance { ulps: 1.0, absolute: 2.0 * length as f64 * ulp(output, 64.0) }
        }
        _ => sum_tolerance(output, elements, length),
    };
    case.gives(y, tolerance);
}

fn dynamic(kind: OpKind, dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.solid(1, 3);
    let sizes: Vec<usize> = shape.iter().map(|&size| case.draw.size(0, size)).collect();
    let index = case.draw.pick(&[DType::I32, DType::I64, DType::U8, DType::I8]);
    let x = case.input(dtype, &shape, Elements::Any);
    let update = case.input(dtype, &sizes, Elements::Any);
    let starts: Vec<Value> = shape.iter().map(|_| case.indices(index, &[], -3, 6)).collect();
    let y = if kind == OpKind::DynamicSlice {
        case.b.dynamic_slice(x, &starts, &sizes).unwrap()
    } else {
        case.b.dynamic_update_slice(x, update, &starts).unwrap()
    };
    case.exactly(y);
}

/// Slices by index vectors in any dimension of the indices, some operand dimensions collapsed, some batching.
fn gather(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.solid(1, 4);
    let rank = shape.len();
    let mut kinds: Vec<u64> = (0..rank).map(|_| case.draw.bits() % 3).collect();
    kinds[0] = kinds[0].min(1);
    let of = |kind: u64| (0..rank).filter(|&dim| kinds[dim] == kind).collect::<Vec<_>>();
    let (collapsed, batching) = (of(1), of(2));
    let slice_sizes: Vec<usize> =
        (0..rank).map(|dim| if kinds[dim] == 0 { case.draw.size(1, shape[dim]) } else { 1 }).collect();
    let mapped: Vec<usize> = (0..rank).filter(|dim| !batching.contains(dim)).collect();
    let order = case.draw.shuffled(mapped.len());
    let start_index_map: Vec<usize> =
        order.iter().map(|&i| mapped[i]).filter(|&dim| kinds[dim] == 1 || !case.draw.chance(3)).collect();
    let own: Vec<usize> = case.draw.solid(0, 2);
    let mut indices: Vec<usize> = batching.iter().map(|&dim| shape[dim]).chain(own).collect();
    let at = case.draw.size(0, indices.len());
    let start_indices_batching_dims = (0..batching.len()).map(|i| if i >= at { i + 1 } else { i }).collect();
    let batch = indices.len();
    indices.insert(at, start_index_map.len());
    let offsets = slice_sizes.iter().zip(&kinds).filter(|&(_, &kind)| kind == 0).count();
    let mut offset_dims = case.draw.shuffled(offsets + batch)[..offsets].to_vec();
    offset_dims.sort_unstable();
    let dimensions = GatherDimensions {
        offset_dims,
        collapsed_slice_dims: collapsed,
        operand_batching_dims: batching,
        start_indices_batching_dims,
        start_index_map,
        index_vector_dim: at,
    };
    let index = case.draw.pick(&[DType::I32, DType::I64, DType::U8]);
    let x = case.input(dtype, &shape, Elements::Any);
    let ids = case.indices(index, &indices, -2, 6);
    let y = case.b.gather(x, ids, dimensions, &slice_sizes).unwrap();
    case.exactly(y);
}

fn pad(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.shape(0, 3);
    let (mut low, mut high, mut interior) = (vec![], vec![], vec![]);
    for &size in &shape {
        let inside = case.draw.size(0, 2);
        let extent = (size + size.saturating_sub(1) * inside) as i64;
        low.push(case.draw.within(-extent.min(2), 3));
        high.push(case.draw.within((-2).max(-(extent + low.last().unwrap())), 3));
        interior.push(inside);
    }
    let (x, value) = (case.input(dtype, &shape, Elements::Any), case.input(dtype, &[], Elements::Any));
    let y = case.b.pad(x, value, &low, &high, &interior).unwrap();
    case.exactly(y);
}

fn random_bits(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.shape(0, 3);
    for (algorithm, size) in [
        (RngAlgorithm::ThreeFry, 2),
        (RngAlgorithm::Philox, 2),
        (RngAlgorithm::Philox, 3),
        (RngAlgorithm::Default, 3),
    ] {
        let state = case.input(DType::U64, &[size], Elements::Any);
        for y in case.b.rng_bit_generator(state, algorithm, TensorType::new(dtype, &shape[..])).unwrap() {
            case.exactly(y);
        }
    }
}

fn slice(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.shape(0, 4);
    let (mut starts, mut limits, mut strides) = (vec![], vec![], vec![]);
    for &size in &shape {
        starts.push(case.draw.size(0, size));
        limits.push(case.draw.size(*starts.last().unwrap(), size));
        strides.push(case.draw.size(1, 3));
    }
    let x = case.input(dtype, &shape, Elements::Any);
    let y = case.b.slice(x, &starts, &limits, &strides).unwrap();
    case.exactly(y);
}

fn top_k(dtype: DType, case: &mut Case<'_>) {
    let mut shape = case.draw.solid(1, 3);
    *shape.last_mut().unwrap() += 3;
    let k = case.draw.size(1, *shape.last().unwrap());
    let elements = case.draw.pick(&[Elements::Whole, Elements::Any]);
    let x = case.input(dtype, &shape, elements);
    for y in case.b.top_k(x, k).unwrap() {
        case.exactly(y);
    }
}
