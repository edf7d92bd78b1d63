//! What lowerings share: broadcasting, reductions, windows, places along an axis.

use porter_ir::{
    Builder, DType, Direction, DotDimensions, GatherDimensions, TensorType, Value,
    ops::{ScatterDimensions, Window},
};

use crate::{
    context::{Cx, One, Out, one},
    error::{Fault, invalid},
    place::Places,
};

/// What an operator's file imports.
pub(crate) mod prelude {
    pub(crate) use porter_ir::{
        Builder, DType, Direction, DotDimensions, GatherDimensions, Kind, Shape, TensorType, Value,
        ops::{Convolution, Window},
    };

    pub(crate) use super::{
        Fold, Spatial, arange, binary, broadcast_shape, compare, fold_scatter, gather_points, index_points,
        keep_dims, listed, logsumexp, matmul, mean, normalize, numbers, one_axis, permuted, reduce_op,
        softmax, spread_axis, stack, step_slice, sum, unary, unrolled,
    };
    pub(crate) use crate::{
        context::{Cx, One, Out, one},
        error::{Fault, invalid, unsupported},
        host::{Data, Host, elements},
        item::Item,
        place::Places,
    };
}

type Unary = fn(&Builder, Value) -> porter_ir::Result<Value>;
type Binary = fn(&Builder, Value, Value) -> porter_ir::Result<Value>;

/// The most numbers that a lowering writes out one by one.
const LISTED: usize = 1 << 20;

/// The product of `factors`, as a count of numbers that are written out one by one.
pub(crate) fn listed(factors: &[usize]) -> Result<usize, Fault> {
    let count = factors.iter().try_fold(1_usize, |count, &factor| count.checked_mul(factor));
    match count.filter(|&count| count <= LISTED) {
        Some(count) => Ok(count),
        None => crate::error::unsupported(format!("more than {LISTED} numbers computed at import")),
    }
}

/// The most steps that a lowering writes out one by one.
const UNROLLED: usize = 1 << 12;

/// A count of steps that are written out one by one.
pub(crate) fn unrolled(steps: usize) -> Result<usize, Fault> {
    if steps <= UNROLLED {
        Ok(steps)
    } else {
        crate::error::unsupported(format!("{steps} steps, expected at most {UNROLLED}"))
    }
}

/// The shape that all of `shapes` broadcast to, aligned at the end.
pub(crate) fn broadcast_shape(shapes: &[Vec<usize>]) -> Result<Vec<usize>, Fault> {
    let rank = shapes.iter().map(Vec::len).max().unwrap_or(0);
    let mut joint = vec![1; rank];
    for shape in shapes {
        for (slot, &size) in joint.part_mut(rank - shape.len()..)?.iter_mut().zip(shape) {
            match (*slot, size) {
                (a, b) if a == b => {}
                (1, b) => *slot = b,
                (_, 1) => {}
                _ => return invalid(format!("shapes {shapes:?} do not broadcast")),
            }
        }
    }
    Ok(joint)
}

impl Cx<'_, '_> {
    /// `x` repeated to `shape`, aligned at the end.
    pub(crate) fn spread(&self, x: Value, shape: &[usize]) -> One {
        let from = self.dims(x);
        if from.len() > shape.len() {
            return invalid(format!("{from:?} does not broadcast to {shape:?}"));
        }
        let first = shape.len() - from.len();
        let dims: Vec<usize> = (first..shape.len()).collect();
        Ok(self.broadcast_to(x, shape.to_vec(), &dims)?)
    }

    /// Every value repeated to the shape that they share.
    pub(crate) fn together(&self, values: &[Value]) -> Result<Vec<Value>, Fault> {
        let shapes: Vec<_> = values.iter().map(|&v| self.dims(v)).collect();
        let joint = broadcast_shape(&shapes)?;
        values.iter().map(|&v| self.spread(v, &joint)).collect()
    }

    /// `f(a, b)`, broadcast.
    pub(crate) fn pair(&self, a: Value, b: Value, f: Binary) -> One {
        let both = self.together(&[a, b])?;
        Ok(f(self, both.at(0)?, both.at(1)?)?)
    }

    /// `if p { a } else { b }`, broadcast.
    pub(crate) fn choose(&self, p: Value, a: Value, b: Value) -> One {
        let all = self.together(&[p, a, b])?;
        Ok(self.select(all.at(0)?, all.at(1)?, all.at(2)?)?)
    }

    /// `f(x, value)` for a value of `x`'s type.
    pub(crate) fn with(&self, x: Value, value: f64, f: Binary) -> One {
        let value = self.full_like(x, value)?;
        Ok(f(self, x, value)?)
    }

    /// Whether `x` stands in `direction` to a value of its type.
    pub(crate) fn is(&self, x: Value, direction: Direction, value: f64) -> One {
        let value = self.full_like(x, value)?;
        Ok(self.compare(x, value, direction)?)
    }

    /// The type that sums and functions of `dtype` are computed in: `f32` for narrower floats.
    pub(crate) fn wide(&self, dtype: DType) -> DType {
        if dtype.is_float() && dtype.bits() < 32 { DType::F32 } else { dtype }
    }
}

/// An element-wise op of one input.
pub(crate) fn unary(cx: &Cx<'_, '_>, f: Unary) -> Out {
    cx.ignore(&["consumed_inputs"]);
    one(f(cx, cx.x(0)?)?)
}

/// The inputs of an op of two, broadcast as its version does: up to version 6, `b` lies at `axis`.
pub(crate) fn operands(cx: &Cx<'_, '_>) -> Result<(Value, Value), Fault> {
    cx.ignore(&["consumed_inputs"]);
    let (a, b) = (cx.x(0)?, cx.x(1)?);
    if cx.opset < 7 {
        let axis = cx.int_opt("axis");
        if cx.int("broadcast", 0) != 0 {
            let (to, from) = (cx.dims(a), cx.dims(b));
            let first = match axis {
                Some(axis) => cx.axis(axis, to.len())?,
                None => to.len().saturating_sub(from.len()),
            };
            let mut shape = vec![1; to.len()];
            for (i, size) in from.into_iter().enumerate() {
                match shape.get_mut(first + i) {
                    Some(slot) => *slot = size,
                    None => return invalid("the second input does not fit into the first at `axis`"),
                }
            }
            let b = cx.reshaped(b, shape)?;
            return Ok((a, cx.spread(b, &to)?));
        }
    }
    let both = cx.together(&[a, b])?;
    Ok((both.at(0)?, both.at(1)?))
}

/// An element-wise op of two inputs.
pub(crate) fn binary(cx: &Cx<'_, '_>, f: Binary) -> Out {
    let (a, b) = operands(cx)?;
    one(f(cx, a, b)?)
}

/// A comparison of two inputs.
pub(crate) fn compare(cx: &Cx<'_, '_>, direction: Direction) -> Out {
    let (a, b) = operands(cx)?;
    one(cx.builder.compare(a, b, direction)?)
}

/// The inputs, which must be floats, for an op of several of them.
pub(crate) fn numbers(cx: &Cx<'_, '_>, f: Binary) -> Out {
    cx.ignore(&["consumed_inputs"]);
    let all = cx.together(&cx.all()?)?;
    let Some((&first, rest)) = all.split_first() else { return invalid("has no input") };
    let mut joint = first;
    for &next in rest {
        joint = f(cx, joint, next)?;
    }
    one(joint)
}

/// How a reduction folds.
#[derive(Clone, Copy)]
pub(crate) enum Fold {
    Sum,
    Product,
    Max,
    Min,
}

impl Cx<'_, '_> {
    /// The neutral element of a fold.
    pub(crate) fn neutral(&self, dtype: DType, fold: Fold) -> One {
        match fold {
            Fold::Sum => self.scalar(dtype, 0.0),
            Fold::Product => self.scalar(dtype, 1.0),
            Fold::Max => Ok(self.constant(porter_ir::Literal::least(dtype)?)?),
            Fold::Min if dtype == DType::F4E2M1FN => self.scalar(dtype, 6.0),
            Fold::Min if dtype == DType::F8E4M3FN => self.scalar(dtype, 448.0),
            Fold::Min if dtype.is_float() => self.scalar(dtype, f64::INFINITY),
            Fold::Min => {
                let ty = TensorType::scalar(dtype);
                let most = match dtype.kind() {
                    porter_ir::Kind::Bool => 1,
                    porter_ir::Kind::Signed => (1_i128 << (dtype.bits() - 1)) - 1,
                    _ => (1_i128 << dtype.bits()) - 1,
                };
                let host = crate::host::Host { ty, data: crate::host::Data::Ints(vec![most]) };
                self.host_constant(&host)
            }
        }
    }

    /// A fold over dimensions, which are gone from the result.
    pub(crate) fn fold(&self, x: Value, dims: &[usize], fold: Fold) -> One {
        let init = self.neutral(self.dtype(x), fold)?;
        let f = fold_fn(fold);
        let results = self.reduce(&[x], &[init], dims, |b, a| folded(b, a, f))?;
        first(&results)
    }

    /// A fold over windows.
    pub(crate) fn fold_windows(&self, x: Value, sizes: &[usize], window: Window, fold: Fold) -> One {
        let init = self.neutral(self.dtype(x), fold)?;
        let f = fold_fn(fold);
        let results = self.reduce_window(&[x], &[init], sizes, window, |b, a| folded(b, a, f))?;
        first(&results)
    }
}

pub(crate) fn fold_fn(fold: Fold) -> Binary {
    match fold {
        Fold::Sum => Builder::add,
        Fold::Product => Builder::multiply,
        Fold::Max => Builder::maximum,
        Fold::Min => Builder::minimum,
    }
}

/// What a region returns that folds its second argument into its first.
fn folded(b: &Builder, arguments: &[Value], f: Binary) -> porter_ir::Result<Vec<Value>> {
    match *arguments {
        [so_far, element] => Ok(vec![f(b, so_far, element)?]),
        _ => Ok(Vec::new()),
    }
}

fn first(values: &[Value]) -> One {
    values.first().copied().ok_or_else(|| Fault::Invalid("has no result".to_owned()))
}

/// The shape of `x` with `dims` of size 1.
pub(crate) fn keep_dims(cx: &Cx<'_, '_>, x: Value, dims: &[usize]) -> Vec<usize> {
    cx.dims(x).iter().enumerate().map(|(i, &d)| if dims.contains(&i) { 1 } else { d }).collect()
}

/// The sum over `dims`, kept at size 1.
pub(crate) fn sum(cx: &Cx<'_, '_>, x: Value, dims: &[usize]) -> One {
    cx.reshaped(cx.fold(x, dims, Fold::Sum)?, keep_dims(cx, x, dims))
}

/// The mean over `dims`, kept at size 1.
pub(crate) fn mean(cx: &Cx<'_, '_>, x: Value, dims: &[usize]) -> One {
    let shape = cx.dims(x);
    let count = dims.iter().try_fold(1.0, |count, &d| Ok::<_, Fault>(count * shape.at(d)? as f64))?;
    let total = sum(cx, x, dims)?;
    cx.with(total, count, Builder::divide)
}

/// An op of the `Reduce` family: its axes are an attribute or input 1, and `keepdims` is 1 by default.
pub(crate) fn reduce_op(cx: &Cx<'_, '_>, f: impl Fn(&Cx<'_, '_>, Value, &[usize]) -> One) -> Out {
    let x = cx.x(0)?;
    let rank = cx.rank(x);
    let axes = cx.ints_or_input("axes", 1)?.unwrap_or_default();
    let (keep, noop) = (cx.int("keepdims", 1) != 0, cx.int("noop_with_empty_axes", 0) != 0);
    let dims = if axes.is_empty() && !noop { (0..rank).collect() } else { cx.axes(&axes, rank)? };
    let y = f(cx, x, &dims)?;
    let y = cx.cast(y, cx.dtype(x))?;
    if keep {
        return one(cx.reshaped(y, keep_dims(cx, x, &dims))?);
    }
    let kept: Vec<usize> =
        cx.dims(x).iter().enumerate().filter(|(i, _)| !dims.contains(i)).map(|(_, &d)| d).collect();
    one(cx.reshaped(y, kept)?)
}

/// `softmax` of a float tensor over some dimensions.
pub(crate) fn softmax(cx: &Cx<'_, '_>, x: Value, dims: &[usize]) -> One {
    let (shape, kept) = (cx.dims(x), keep_dims(cx, x, dims));
    let most = cx.reshaped(cx.fold(x, dims, Fold::Max)?, kept)?;
    let e = cx.exponential(cx.subtract(x, cx.spread(most, &shape)?)?)?;
    let total = sum(cx, e, dims)?;
    Ok(cx.divide(e, cx.spread(total, &shape)?)?)
}

/// `log(sum(exp(x)))` over some dimensions, kept at size 1.
pub(crate) fn logsumexp(cx: &Cx<'_, '_>, x: Value, dims: &[usize]) -> One {
    let (shape, kept) = (cx.dims(x), keep_dims(cx, x, dims));
    let most = cx.reshaped(cx.fold(x, dims, Fold::Max)?, kept)?;
    let finite = cx.is_finite(most)?;
    let most = cx.select(finite, most, cx.full_like(most, 0.0)?)?;
    let e = cx.exponential(cx.subtract(x, cx.spread(most, &shape)?)?)?;
    Ok(cx.add(cx.log(sum(cx, e, dims)?)?, most)?)
}

/// `(x - mean) / sqrt(variance + epsilon)` over some dimensions; also the mean, and one over the root.
pub(crate) fn normalize(
    cx: &Cx<'_, '_>,
    x: Value,
    dims: &[usize],
    epsilon: f64,
) -> Result<[Value; 3], Fault> {
    let shape = cx.dims(x);
    let average = mean(cx, x, dims)?;
    let centred = cx.subtract(x, cx.spread(average, &shape)?)?;
    let variance = mean(cx, cx.multiply(centred, centred)?, dims)?;
    let root = cx.sqrt(cx.with(variance, epsilon, Builder::add)?)?;
    let inverse = cx.divide(cx.full_like(root, 1.0)?, root)?;
    Ok([cx.multiply(centred, cx.spread(inverse, &shape)?)?, average, inverse])
}

/// `x` with its dimensions in another order.
pub(crate) fn permuted(cx: &Cx<'_, '_>, x: Value, permutation: &[usize]) -> One {
    if permutation.iter().copied().eq(0..permutation.len()) {
        Ok(x)
    } else {
        Ok(cx.transpose(x, permutation)?)
    }
}

/// `0, 1, ..` along dimension `axis` of `shape`.
pub(crate) fn arange(cx: &Cx<'_, '_>, dtype: DType, shape: &[usize], axis: usize) -> One {
    Ok(cx.iota(TensorType::new(dtype, shape.to_vec()), axis)?)
}

/// `x`, of one dimension, along dimension `axis` of `shape`.
pub(crate) fn spread_axis(cx: &Cx<'_, '_>, x: Value, shape: &[usize], axis: usize) -> One {
    Ok(cx.broadcast_to(x, shape.to_vec(), &[axis])?)
}

/// The shape of rank `rank` that has `size` in dimension `axis`.
pub(crate) fn one_axis(rank: usize, axis: usize, size: usize) -> Vec<usize> {
    (0..rank).map(|i| if i == axis { size } else { 1 }).collect()
}

/// Values of one shape along a new dimension.
pub(crate) fn stack(cx: &Cx<'_, '_>, values: &[Value], axis: usize) -> One {
    let parts = values.iter().map(|&v| {
        let mut shape = cx.dims(v);
        shape.insert(axis.min(shape.len()), 1);
        cx.reshaped(v, shape)
    });
    let parts: Vec<Value> = parts.collect::<Result<_, _>>()?;
    Ok(cx.concatenate(&parts, axis)?)
}

/// Elements `start, start + step, ..` of one dimension, `count` of them; the step may be negative.
pub(crate) fn step_slice(
    cx: &Cx<'_, '_>,
    x: Value,
    axis: usize,
    start: usize,
    step: i64,
    count: usize,
) -> One {
    let shape = cx.dims(x);
    let stride = step.unsigned_abs() as usize;
    let span = count.saturating_sub(1).saturating_mul(stride);
    let low = if step < 0 { start.saturating_sub(span) } else { start };
    let (mut starts, mut limits, mut strides) = (vec![0; shape.len()], shape.clone(), vec![1; shape.len()]);
    *starts.slot(axis)? = if count == 0 { 0 } else { low };
    *limits.slot(axis)? =
        if count == 0 { 0 } else { low.saturating_add(span).saturating_add(1).min(shape.at(axis)?) };
    *strides.slot(axis)? = stride.max(1);
    let y = cx.slice(x, &starts, &limits, &strides)?;
    if step < 0 { Ok(cx.reverse(y, &[axis])?) } else { Ok(y) }
}

/// `numpy.matmul`, accumulated in `dtype`.
pub(crate) fn matmul(cx: &Cx<'_, '_>, a: Value, b: Value, dtype: DType) -> One {
    let (a_rank, b_rank) = (cx.rank(a), cx.rank(b));
    if a_rank == 0 || b_rank == 0 {
        return invalid("a scalar has no matrix product");
    }
    let a2 = if a_rank == 1 { cx.reshaped(a, [1, cx.dims(a).at(0)?])? } else { a };
    let b2 = if b_rank == 1 { cx.reshaped(b, [cx.dims(b).at(0)?, 1])? } else { b };
    let (sa, sb) = (cx.dims(a2), cx.dims(b2));
    let (m, n) = (sa.len() - 2, sb.len() - 2);
    let joint = broadcast_shape(&[sa.part(..m)?.to_vec(), sb.part(..n)?.to_vec()])?;
    let batch = joint.len();
    let wide = |x: Value, matrix: &[usize]| cx.spread(x, &[&joint[..], matrix].concat());
    let (a3, b3, batching): (Value, Value, Vec<usize>) = if n == 0 {
        // A matrix on the right serves every batch on the left as it is.
        (a2, b2, Vec::new())
    } else {
        (wide(a2, sa.part(m..)?)?, wide(b2, sb.part(n..)?)?, (0..batch).collect())
    };
    let last = cx.rank(a3) - 1;
    let dimensions = DotDimensions {
        lhs_batching: batching.clone(),
        rhs_batching: batching.clone(),
        lhs_contracting: vec![last],
        rhs_contracting: vec![batching.len()],
    };
    let y = cx.dot_general(a3, b3, dimensions, dtype)?;
    let mut shape = joint;
    if a_rank > 1 {
        shape.push(sa.at(m)?);
    }
    if b_rank > 1 {
        shape.push(sb.at(n + 1)?);
    }
    cx.reshaped(y, shape)
}

/// Index vectors `[indices.., rank]`: at `axis` the indices, elsewhere their own place.
pub(crate) fn index_points(cx: &Cx<'_, '_>, indices: Value, axis: usize, size: usize) -> One {
    let shape = cx.dims(indices);
    let indices = cx.cast(indices, DType::I64)?;
    let negative = cx.is(indices, Direction::Lt, 0.0)?;
    let indices = cx.select(negative, cx.with(indices, size as f64, Builder::add)?, indices)?;
    let parts: Vec<Value> = (0..shape.len())
        .map(|i| if i == axis { Ok(indices) } else { arange(cx, DType::I64, &shape, i) })
        .collect::<Result<_, _>>()?;
    stack(cx, &parts, shape.len())
}

/// The elements of `x` at index vectors `[.., rank of x]`.
pub(crate) fn gather_points(cx: &Cx<'_, '_>, x: Value, points: Value) -> One {
    let (rank, vectors) = (cx.rank(x), cx.rank(points).saturating_sub(1));
    let dimensions = GatherDimensions {
        collapsed_slice_dims: (0..rank).collect(),
        start_index_map: (0..rank).collect(),
        index_vector_dim: vectors,
        ..GatherDimensions::default()
    };
    Ok(cx.gather(x, points, dimensions, &vec![1; rank])?)
}

/// `updates` folded into `x` at index vectors `[.., k]`, each for a slice over the dimensions after the
/// first `k`; `None` replaces.
pub(crate) fn fold_scatter(
    cx: &Cx<'_, '_>,
    x: Value,
    points: Value,
    updates: Value,
    fold: Option<Fold>,
) -> One {
    let (rank, vectors) = (cx.rank(x), cx.rank(points).saturating_sub(1));
    let k = cx.dims(points).at(vectors)?;
    let dimensions = ScatterDimensions {
        update_window_dims: (vectors..vectors + rank - k.min(rank)).collect(),
        inserted_window_dims: (0..k).collect(),
        scatter_dims_to_operand_dims: (0..k).collect(),
        index_vector_dim: vectors,
        ..ScatterDimensions::default()
    };
    let results = cx.scatter(&[x], points, &[updates], dimensions, |b, a| match fold {
        Some(fold) => folded(b, a, fold_fn(fold)),
        None => Ok(a.iter().skip(1).copied().collect()),
    })?;
    first(&results)
}

/// The windows of a convolution or pooling over the spatial dimensions.
pub(crate) struct Spatial {
    pub(crate) kernel: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    pub(crate) dilations: Vec<usize>,
    pub(crate) pads: Vec<(i64, i64)>,
}

impl Spatial {
    /// Reads `strides`, `dilations`, `pads` and `auto_pad` for an input of spatial `sizes`.
    pub(crate) fn read(cx: &Cx<'_, '_>, sizes: &[usize], kernel: Vec<usize>) -> Result<Self, Fault> {
        let n = sizes.len();
        let positive = |name: &'static str| -> Result<Vec<usize>, Fault> {
            match cx.ints(name) {
                Some(list) if list.len() == n && list.iter().all(|&x| x > 0) => {
                    Ok(list.iter().map(|&x| x as usize).collect())
                }
                Some(list) => invalid(format!("{name} {list:?}, expected {n} of at least 1")),
                None => Ok(vec![1; n]),
            }
        };
        if kernel.len() != n || kernel.contains(&0) {
            return invalid(format!("kernel {kernel:?} over {n} dimensions"));
        }
        let (strides, dilations) = (positive("strides")?, positive("dilations")?);
        let given = cx.ints("pads");
        let reach = |i: usize| -> Result<usize, Fault> {
            Ok(kernel.at(i)?.saturating_sub(1).saturating_mul(dilations.at(i)?).saturating_add(1))
        };
        let pads = match (&*cx.string("auto_pad", "NOTSET"), given) {
            ("NOTSET", None) | ("VALID", _) => vec![(0, 0); n],
            ("NOTSET", Some(p)) if p.len() == 2 * n => {
                let (low, high) = p.split_at_checked(n).unwrap_or_default();
                low.iter().copied().zip(high.iter().copied()).collect()
            }
            ("NOTSET", Some(p)) => return invalid(format!("pads {p:?}, expected {}", 2 * n)),
            (same @ ("SAME_UPPER" | "SAME_LOWER"), _) => (0..n)
                .map(|i| {
                    let out = sizes.at(i)?.div_ceil(strides.at(i)?);
                    let total = out
                        .saturating_sub(1)
                        .saturating_mul(strides.at(i)?)
                        .saturating_add(reach(i)?)
                        .saturating_sub(sizes.at(i)?);
                    let total = i64::try_from(total).unwrap_or(i64::MAX);
                    let small = total / 2;
                    Ok(if same == "SAME_UPPER" { (small, total - small) } else { (total - small, small) })
                })
                .collect::<Result<Vec<_>, Fault>>()?,
            (other, _) => return invalid(format!("auto_pad {other:?}")),
        };
        Ok(Self { kernel, strides, dilations, pads })
    }

    /// The padding that gives so many windows as `ceil_mode` wants: the last may reach past the end, but
    /// starts before it.
    pub(crate) fn ceil(&self, sizes: &[usize]) -> Result<Vec<(i64, i64)>, Fault> {
        let pad = |(i, &(low, high)): (usize, &(i64, i64))| {
            // Wide enough for any strides, dilations and pads.
            let (stride, size) = (self.strides.at(i)? as i128, sizes.at(i)? as i128);
            let (low, high) = (i128::from(low), i128::from(high));
            let reach = (self.kernel.at(i)? as i128 - 1) * self.dilations.at(i)? as i128 + 1;
            let mut count = (size + low + high - reach + stride - 1).div_euclid(stride) + 1;
            if (count - 1) * stride >= size + low {
                count -= 1;
            }
            let high = (count - 1) * stride + reach - size - low;
            let narrow =
                |x: i128| i64::try_from(x).unwrap_or(if x < 0 { i64::MIN / 4 } else { i64::MAX / 4 });
            Ok((narrow(low), narrow(high)))
        };
        self.pads.iter().enumerate().map(pad).collect()
    }

    /// The window over a tensor whose first two dimensions are batch and channel.
    pub(crate) fn window(&self, pads: &[(i64, i64)]) -> (Vec<usize>, Window) {
        let window = Window {
            strides: [&[1, 1], &self.strides[..]].concat(),
            padding: [&[(0, 0); 2], pads].concat(),
            base_dilations: vec![1; pads.len() + 2],
            window_dilations: [&[1, 1], &self.dilations[..]].concat(),
        };
        ([&[1, 1], &self.kernel[..]].concat(), window)
    }
}
