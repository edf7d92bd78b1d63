//! Random programs of ops with regions, and of those about several devices.

use porter_ir::{
    Builder, DType, Direction, OpKind, Result, TensorType, Value,
    ops::{Among, CustomCall, CustomCallApi, Groups, ScatterDimensions, SelectAndScatter, Window},
};

use super::draw::{Case, Elements, Tolerance, ulp};

pub(super) fn instance(kind: OpKind, dtype: DType, case: &mut Case<'_>) -> bool {
    use OpKind as K;
    match kind {
        K::Case => {
            let shape = case.draw.shape(0, 2);
            let (x, y) = (
                case.input(dtype, &shape, Elements::Moderate),
                case.input(dtype, &shape, Elements::Moderate),
            );
            let index = case.indices(DType::I32, &[], -2, 4);
            let turned = |b: &Builder| Ok(vec![b.maximum(x, y)?]);
            for z in case.b.case(index, &[&|_| Ok(vec![x]), &|_| Ok(vec![y]), &turned]).unwrap() {
                case.exactly(z);
            }
        }
        K::Composite => {
            let shape = case.draw.shape(0, 2);
            let x = case.input(dtype, &shape, Elements::Moderate);
            let both = |b: &Builder, a: &[Value]| Ok(vec![b.maximum(a[0], a[0])?, a[0]]);
            for y in case.b.composite("porter.same", vec![], &[x], both).unwrap() {
                case.exactly(y);
            }
        }
        K::If => {
            let shape = case.draw.shape(0, 2);
            let (x, y) = (
                case.input(dtype, &shape, Elements::Moderate),
                case.input(dtype, &shape, Elements::Moderate),
            );
            let pred = case.input(DType::Bool, &[], Elements::Any);
            for z in case.b.if_(pred, |b| Ok(vec![b.minimum(x, y)?]), |_| Ok(vec![y])).unwrap() {
                case.exactly(z);
            }
        }
        K::While => {
            let shape = case.draw.shape(0, 2);
            let x = case.input(dtype, &shape, Elements::Whole);
            let n = case.indices(DType::I32, &[], -1, 4);
            let looped = case.b.while_(
                &[case.b.full_like(n, 0.0).unwrap(), x],
                |b, a| b.compare(a[0], n, Direction::Lt),
                |b, a| Ok(vec![b.add_scalar(a[0], 1.0)?, b.add(a[1], x)?]),
            );
            for y in looped.unwrap() {
                case.exactly(y);
            }
        }
        K::Map => {
            let shape = case.draw.shape(0, 3);
            let (x, y) =
                (case.input(dtype, &shape, Elements::Whole), case.input(dtype, &shape, Elements::Whole));
            let wide = case.draw.chance(2);
            let z = case.b.map(&[x, y], |b, a| {
                let sum = b.add(b.maximum(a[0], a[1])?, a[1])?;
                if wide { b.convert(sum, DType::F32) } else { Ok(sum) }
            });
            case.exactly(z.unwrap());
        }
        K::Reduce => reduce(dtype, case),
        K::ReduceWindow => reduce_window(dtype, case),
        K::Scatter => scatter(dtype, case),
        K::SelectAndScatter => select_and_scatter(dtype, case),
        K::Sort => sort(dtype, case),
        K::AllGather | K::AllReduce | K::AllToAll | K::ReduceScatter | K::CollectivePermute => {
            alone(kind, dtype, case);
        }
        K::PartitionId => {
            let id = case.b.partition_id().unwrap();
            case.exactly(id);
        }
        K::ReplicaId => {
            let id = case.b.replica_id().unwrap();
            case.exactly(id);
        }
        K::ShardingConstraint => {
            let shape = case.draw.shape(1, 2);
            let x = case.input(dtype, &shape, Elements::Any);
            case.b.set_mesh(porter_ir::Mesh { axes: vec![("one".to_owned(), 1)] });
            let sharding = porter_ir::Sharding { dims: vec![vec![]; shape.len()] };
            let y = case.b.sharding_constraint(x, sharding).unwrap();
            case.exactly(y);
        }
        // No target is known to both sides: both refuse it, which the caller looks at.
        K::CustomCall => {
            let x = case.input(dtype, &[2], Elements::Any);
            let op = CustomCall {
                target: "nowhere_registered".to_owned(),
                api: CustomCallApi::Original(String::new()),
                has_side_effect: false,
                results: vec![case.b.ty(x)],
            };
            let y = case.b.custom_call(op, &[x]).unwrap()[0];
            case.exactly(y);
        }
        _ => return false,
    }
    true
}

fn alone(kind: OpKind, dtype: DType, case: &mut Case<'_>) {
    // A dimension that is split or joined may not be empty there.
    let shape = case.draw.solid(1, 2);
    let x = case.input(dtype, &shape, Elements::Moderate);
    let groups = Groups { groups: vec![vec![0]], among: Among::Replicas };
    let maximum = |b: &Builder, a: &[Value]| b.maximum(a[0], a[1]);
    let y = match kind {
        OpKind::AllGather => case.b.all_gather(x, 0, groups),
        OpKind::AllReduce => case.b.all_reduce(x, groups, maximum),
        OpKind::AllToAll => case.b.all_to_all(x, 0, 0, groups),
        OpKind::ReduceScatter => case.b.reduce_scatter(x, 0, groups, maximum),
        _ => case.b.collective_permute(x, &[[0, 0]], Among::Replicas),
    };
    case.exactly(y.unwrap());
}

type Body = fn(&Builder, &[Value]) -> Result<Vec<Value>>;

/// A fold of two scalars, of which the order does not matter but for rounding.
#[derive(Clone, Copy, PartialEq)]
enum Fold {
    Sum,
    Product,
    Largest,
    /// The largest, written with several ops.
    Chosen,
    Smallest,
    And,
    Or,
    Xor,
}

impl Fold {
    fn draw(dtype: DType, case: &mut Case<'_>) -> Self {
        const ALL: [Fold; 8] = [
            Fold::Sum,
            Fold::Product,
            Fold::Largest,
            Fold::Chosen,
            Fold::Smallest,
            Fold::And,
            Fold::Or,
            Fold::Xor,
        ];
        case.draw.pick(if dtype.is_float() { &ALL[..5] } else { &ALL })
    }

    fn body(self) -> Body {
        match self {
            Fold::Sum => |b, a| Ok(vec![b.add(a[0], a[1])?]),
            Fold::Product => |b, a| Ok(vec![b.multiply(a[0], a[1])?]),
            Fold::Largest => |b, a| Ok(vec![b.maximum(a[0], a[1])?]),
            Fold::Chosen => |b, a| {
                let larger = b.compare(a[0], a[1], Direction::Ge)?;
                Ok(vec![b.select(larger, a[0], a[1])?])
            },
            Fold::Smallest => |b, a| Ok(vec![b.minimum(a[1], a[0])?]),
            Fold::And => |b, a| Ok(vec![b.and(a[0], a[1])?]),
            Fold::Or => |b, a| Ok(vec![b.or(a[0], a[1])?]),
            Fold::Xor => |b, a| Ok(vec![b.xor(a[0], a[1])?]),
        }
    }

    /// What changes nothing: a fold of nothing may leave it out.
    fn init(self, b: &Builder, dtype: DType) -> Value {
        let least = || b.constant(porter_ir::Literal::least(dtype).unwrap()).unwrap();
        let full = |value| b.full(TensorType::scalar(dtype), value).unwrap();
        match self {
            Fold::Sum | Fold::Or | Fold::Xor => full(0.0),
            Fold::Product => full(1.0),
            Fold::Largest | Fold::Chosen => least(),
            // Above every float that is folded here.
            Fold::Smallest if dtype.is_float() => full(6.0),
            Fold::Smallest => b.not(least()).unwrap(),
            Fold::And => b.not(full(0.0)).unwrap(),
        }
    }
}

/// Of small whole numbers every sum and product here is exact; integers wrap around in any order alike.
fn exact_elements(dtype: DType) -> Elements {
    if dtype.is_float() { Elements::Whole } else { Elements::Any }
}

fn reduce(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.shape(1, 4);
    let dims = case.draw.some(shape.len());
    let length: usize = dims.iter().map(|&dim| shape[dim]).product();
    if case.draw.chance(3) {
        // Two tensors at once: the largest and where it is first, as an argmax is written.
        let x = case.input(dtype, &shape, Elements::Whole);
        let n = case.b.iota(TensorType::new(DType::I32, &shape[..]), shape.len() - 1).unwrap();
        let least = porter_ir::Literal::least(dtype).unwrap();
        let inits =
            [case.b.constant(least).unwrap(), case.b.full(TensorType::scalar(DType::I32), 9.0).unwrap()];
        let results = case.b.reduce(&[x, n], &inits, &dims, |b, a| {
            let larger = b.compare(a[2], a[0], Direction::Gt)?;
            let equal = b.compare(a[2], a[0], Direction::Eq)?;
            let first = b.select(equal, b.minimum(a[1], a[3])?, a[1])?;
            Ok(vec![b.select(larger, a[2], a[0])?, b.select(larger, a[3], first)?])
        });
        for y in results.unwrap() {
            case.exactly(y);
        }
        return;
    }
    let fold = Fold::draw(dtype, case);
    let (mut elements, mut tolerance) = (exact_elements(dtype), Tolerance::EXACT);
    if fold == Fold::Sum && dtype.is_float() {
        // Numbers up to 8: each sum rounds in the type.
        elements = Elements::Moderate;
        tolerance = Tolerance { ulps: 1.0, absolute: length as f64 * ulp(dtype, 8.0 * length as f64) };
    } else if fold == Fold::Product && dtype.is_float() {
        // A product may pass what the type holds exactly: as many roundings, each relative to it.
        tolerance = Tolerance::ulps(length as f64);
    }
    let x = case.input(dtype, &shape, elements);
    let init = fold.init(case.b, dtype);
    let y = case.b.reduce(&[x], &[init], &dims, fold.body()).unwrap()[0];
    case.gives(y, tolerance);
}

fn window(case: &mut Case<'_>, shape: &[usize], dilated: bool) -> (Vec<usize>, Window) {
    let rank = shape.len();
    let mut window = Window::plain(rank);
    let mut sizes = Vec::new();
    for dim in 0..rank {
        sizes.push(case.draw.size(1, 3));
        window.strides[dim] = case.draw.size(1, 3);
        if dilated {
            window.padding[dim] = (case.draw.within(0, 2), case.draw.within(0, 2));
            window.base_dilations[dim] = case.draw.size(1, 2);
            window.window_dilations[dim] = case.draw.size(1, 2);
        }
    }
    (sizes, window)
}

fn reduce_window(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.solid(1, 3);
    let dilated = case.draw.chance(2);
    let (sizes, window) = window(case, &shape, dilated);
    let fold = Fold::draw(dtype, case);
    // At most 27 factors of at most 2: beyond what f4 and f8 hold, so of one for them.
    let narrow = matches!(dtype, DType::F4E2M1FN | DType::F8E4M3FN | DType::F8E5M2);
    let fold = if narrow && matches!(fold, Fold::Sum | Fold::Product) { Fold::Chosen } else { fold };
    let tolerance = Tolerance::EXACT;
    let x = case.input(dtype, &shape, exact_elements(dtype));
    let init = fold.init(case.b, dtype);
    let y = case.b.reduce_window(&[x], &[init], &sizes, window, fold.body()).unwrap()[0];
    case.gives(y, tolerance);
}

fn select_and_scatter(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.solid(1, 2);
    let (sizes, window) = window(case, &shape, false);
    let op = SelectAndScatter { sizes: sizes.clone(), strides: window.strides, padding: window.padding };
    let x = case.input(dtype, &shape, Elements::Whole);
    let probe =
        Window { strides: op.strides.clone(), padding: op.padding.clone(), ..Window::plain(shape.len()) };
    let places: Vec<usize> = (0..shape.len())
        .map(|dim| shape[dim].checked_sub(sizes[dim]).map_or(0, |room| room / probe.strides[dim] + 1))
        .collect();
    let source = case.input(dtype, &places, Elements::Whole);
    let init = case.b.full(TensorType::scalar(dtype), 0.0).unwrap();
    let larger = |b: &Builder, a: &[Value]| b.compare(a[0], a[1], Direction::Ge);
    let y = case.b.select_and_scatter(op, [x, source, init], larger, |b, a| b.add(a[0], a[1])).unwrap();
    case.exactly(y);
}

/// Windows at index vectors, of which some do not fit; batching dimensions first, if there are any.
fn scatter(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.solid(1, 3);
    let rank = shape.len();
    let kinds: Vec<u64> =
        (0..rank).map(|dim| if dim == 0 { case.draw.bits() % 3 } else { case.draw.bits() % 2 }).collect();
    let of = |kind: u64| (0..rank).filter(|&dim| kinds[dim] == kind).collect::<Vec<_>>();
    let (windows, inserted, batching) = (of(0), of(1), of(2));
    let mapped: Vec<usize> = (0..rank).filter(|dim| !batching.contains(dim)).collect();
    let batch: Vec<usize> = batching.iter().map(|&dim| shape[dim]).chain([case.draw.size(0, 3)]).collect();
    let window: Vec<usize> = windows.iter().map(|&dim| case.draw.size(1, shape[dim])).collect();
    let indices = [&batch[..], &[mapped.len()]].concat();
    let dimensions = ScatterDimensions {
        update_window_dims: (batch.len()..batch.len() + window.len()).collect(),
        inserted_window_dims: inserted,
        scatter_indices_batching_dims: (0..batching.len()).collect(),
        input_batching_dims: batching,
        scatter_dims_to_operand_dims: mapped,
        index_vector_dim: batch.len(),
    };
    let x = case.input(dtype, &shape, Elements::Whole);
    let at = case.indices(DType::I32, &indices, -1, 4);
    let updates = case.input(dtype, &[&batch[..], &window].concat(), Elements::Whole);
    let fold = case.draw.pick(&[Fold::Sum, Fold::Largest, Fold::Chosen]);
    let y = case.b.scatter(&[x], at, &[updates], dimensions, fold.body()).unwrap()[0];
    case.exactly(y);
}

fn sort(dtype: DType, case: &mut Case<'_>) {
    let shape = case.draw.shape(1, 3);
    let dimension = case.draw.size(0, shape.len() - 1);
    let keys = case.input(dtype, &shape, Elements::Whole);
    let numbers = case.b.iota(TensorType::new(DType::I32, &shape[..]), dimension).unwrap();
    let direction = case.draw.pick(&[Direction::Lt, Direction::Gt]);
    let sorted = case.b.sort(&[keys, numbers], dimension, true, |b, a| b.compare(a[0], a[1], direction));
    for y in sorted.unwrap() {
        case.exactly(y);
    }
}
