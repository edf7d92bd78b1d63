//! # Normalisation
//!
//! **What.** `porter.rms_norm` and `porter.layer_norm`, over the last dimension.
//!
//! **Pattern.** `n · 1/√(mean(n²) + epsilon) · weight`, where `n` is `x`, or `x - mean(x)` with ` + bias` or without.
//! The root is a square root and a division, a reciprocal, `rsqrt` or a power; the square is a product or a power;
//! the mean is a sum divided by, or multiplied with, a number. Weights are vectors along the last dimension and may
//! be computed (`1 + weight`). `x` may have been converted to `f32` before and what is normed back after. A layer norm
//! without a bias gets zeros.
//!
//! **Proof.** The same function of real numbers; statistics are `f32` in both. `tests/lift/recognition.rs` runs every
//! form, `tests/lift/recognised_transformers.rs` whole models.

use porter_ir::{DType, Op, OpKind, TensorType, Value};

use super::{
    Lift,
    composites::{cast, layer_norm, rms_norm},
    view::View,
};

/// The norm whose last op gives `root`.
pub(crate) fn find(view: &View<'_>, root: Value) -> Option<Lift> {
    layer_norm_with_bias(view, root).or_else(|| scaled(view, root))
}

fn layer_norm_with_bias(view: &View<'_>, root: Value) -> Option<Lift> {
    view.either(root, OpKind::Add).find_map(|(y, bias)| {
        let bias = vector(view, bias)?;
        let norm = weighted(view, y)?;
        let centred = norm.centred?;
        lift(view, root, Norm { x: centred, bias: Some(bias), ..norm })
    })
}

fn scaled(view: &View<'_>, root: Value) -> Option<Lift> {
    lift(view, root, weighted(view, root)?)
}

#[derive(Clone, Copy)]
struct Norm {
    /// What is divided by the root.
    x: Value,
    /// What its mean was subtracted from to give `x`.
    centred: Option<Value>,
    weight: Value,
    bias: Option<Value>,
    epsilon: f64,
}

fn lift(view: &View<'_>, root: Value, norm: Norm) -> Option<Lift> {
    let x = norm.centred.unwrap_or(norm.x);
    let is_layer = norm.centred.is_some();
    let dtype = view.dtype(root);
    if view.dims(x) != view.dims(root) {
        return None;
    }
    let x = [view.unconverted(x), x].into_iter().find(|&x| view.dtype(x) == dtype)?;
    let supported = |v: Value| matches!(view.dtype(v), DType::F32 | DType::F16 | DType::BF16);
    if ![Some(x), Some(norm.weight), norm.bias].into_iter().flatten().all(supported) {
        return None;
    }
    let width = *view.dims(x).last()?;
    Some(Lift::new(root, move |site| {
        let b = &site.b;
        let vector = |v| cast(b, b.reshape(site.value(v)?, [width])?, DType::F32);
        let (x, weight) = (site.value(x)?, vector(norm.weight)?);
        if !is_layer {
            return rms_norm(b, x, weight, norm.epsilon);
        }
        let bias = match norm.bias {
            Some(bias) => vector(bias)?,
            None => b.full(TensorType::new(DType::F32, [width]), 0.0)?,
        };
        layer_norm(b, [x, weight, bias], norm.epsilon)
    }))
}

/// `weight` times something normalised.
fn weighted(view: &View<'_>, value: Value) -> Option<Norm> {
    view.either(value, OpKind::Multiply).find_map(|(unit, weight)| {
        let weight = vector(view, weight)?;
        let (x, epsilon) = normalised(view, view.unconverted(unit))?;
        Some(Norm { x, centred: centred(view, x), weight, bias: None, epsilon })
    })
}

/// A vector along the last dimension of what it is repeated to.
fn vector(view: &View<'_>, value: Value) -> Option<Value> {
    let (&size, before) = view.dims(value).split_last()?;
    let last = before.len();
    let placed = view.unspread(value);
    let along = placed.axes.iter().flatten().all(|&axis| axis == last);
    let whole = view.program.ty(placed.value).shape.elements() == size;
    (along && whole && size > 1).then_some(placed.value)
}

/// `n` and `epsilon`, where the value is `n / √(mean(n²) + epsilon)`.
fn normalised(view: &View<'_>, value: Value) -> Option<(Value, f64)> {
    let divided = view.two(value, OpKind::Divide).and_then(|(n, root)| {
        let inside = view.one(view.unspread_rows(root)?, OpKind::Sqrt)?;
        Some((n, epsilon(view, n, inside)?))
    });
    divided.or_else(|| {
        view.either(value, OpKind::Multiply).find_map(|(n, inverse)| {
            let inside = inverse_root(view, view.unspread_rows(inverse)?)?;
            Some((n, epsilon(view, n, inside)?))
        })
    })
}

/// `y`, where the value is `1 / √y`.
fn inverse_root(view: &View<'_>, value: Value) -> Option<Value> {
    if let Some(inside) = view.one(value, OpKind::Rsqrt) {
        return Some(inside);
    }
    if let Some((one, root)) = view.two(value, OpKind::Divide) {
        return view.is_about(one, 1.0).then(|| view.one(root, OpKind::Sqrt))?;
    }
    let (inside, exponent) = view.two(value, OpKind::Power)?;
    view.is_about(exponent, -0.5).then_some(inside)
}

/// `epsilon`, where `inside` is `mean(n²) + epsilon`.
fn epsilon(view: &View<'_>, n: Value, inside: Value) -> Option<f64> {
    view.either(inside, OpKind::Add).find_map(|(variance, epsilon)| {
        let epsilon = view.scalar(epsilon).filter(|e| (0.0..1.0).contains(e))?;
        is_square(view, mean(view, variance)?, n).then(|| decimal(view.dtype(inside), epsilon))
    })
}

/// The shortest decimal that is `value` in `dtype`: what a config says.
fn decimal(dtype: DType, value: f64) -> f64 {
    if dtype == DType::F32 { (value as f32).to_string().parse().unwrap_or(value) } else { value }
}

fn is_square(view: &View<'_>, value: Value, n: Value) -> bool {
    let product = view.two(value, OpKind::Multiply).is_some_and(|both| both == (n, n));
    let power = view.two(value, OpKind::Power);
    product || power.is_some_and(|(base, exponent)| base == n && view.is_about(exponent, 2.0))
}

/// `x`, where the value is `x - mean(x)`.
fn centred(view: &View<'_>, value: Value) -> Option<Value> {
    let (x, average) = view.two(value, OpKind::Subtract)?;
    (mean(view, view.unspread_rows(average)?)? == x).then_some(x)
}

/// `x`, where the value is the mean of `x` over its last dimension.
fn mean(view: &View<'_>, value: Value) -> Option<Value> {
    let (total, factor) = view.unscaled(value);
    let total = view.unspread_rows(total)?;
    let x = folded_last(view, total, OpKind::Add)?;
    let size = *view.dims(x).last()? as f64;
    super::view::about(DType::F32, factor, 1.0 / size).then_some(x)
}

/// `x`, where the value is a fold of `x` over its last dimension by an op of this kind.
pub(crate) fn folded_last(view: &View<'_>, value: Value, kind: OpKind) -> Option<Value> {
    let op = view.op(value)?;
    let (Op::Reduce(reduce), &[x, init], &[region]) = (&op.op, &op.operands[..], &op.regions[..]) else {
        return None;
    };
    let neutral = view.scalar(init)?;
    let starts = match kind {
        OpKind::Add => neutral.abs() == 0.0,
        _ => neutral == f64::NEG_INFINITY,
    };
    let body = view.program.region(region);
    let &[inner] = &body.ops[..] else { return None };
    let inner = view.program.op(inner);
    let plain = inner.op.kind() == kind
        && (inner.operands == body.arguments || inner.operands.iter().rev().eq(&body.arguments))
        && body.results == inner.results;
    let last = view.dims(x).len().checked_sub(1)?;
    (starts && plain && reduce.dimensions == [last]).then_some(x)
}
