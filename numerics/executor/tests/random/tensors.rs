//! Random programs of ops that move or make elements.

use porter_ir::{DType, GatherDimensions, Literal, OpKind, TensorType, Value, ops::RngAlgorithm};

use super::draw::{Case, Elements};

pub(super) fn instance(kind: OpKind, dtype: DType, case: &mut Case<'_>) -> bool {
    use OpKind as K;
    match kind {
        K::BitcastConvert => bitcasts(dtype, case),
        K::BroadcastInDim => broadcast(dtype, case),
        K::Concatenate => concatenate(dtype, case),
        K::Constant => constant(dtype, case),
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
        _ => return false,
    }
    true
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
