//! Random programs of ops that multiply and add: matrix products, convolutions, norms, solvers.

use porter_ir::{
    DType, DotDimensions, OpKind, TensorType,
    ops::{BatchNormInference, BatchNormTraining, Convolution, ConvolutionLayout, TriangularSolve, Window},
};

use super::draw::{Case, Elements, Tolerance, ulp};

pub(super) fn instance(kind: OpKind, dtype: DType, case: &mut Case<'_>) -> bool {
    use OpKind as K;
    match kind {
        K::BatchNormInference | K::BatchNormTraining => batch_norm(kind, dtype, case),
        K::Cholesky => cholesky(dtype, case),
        K::Convolution => convolution(dtype, case),
        K::DotGeneral => dot(dtype, case),
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
