//! # Rotary positions
//!
//! **What.** `porter.rotary`: each head's halves turned by the angles of its position.
//!
//! **Pattern.** `x cos + rotate_half(x) sin`, where `rotate_half(x) = [-x₂, x₁]` over the halves of the last
//! dimension, as transformers writes it; or `[x₁ cos - x₂ sin, x₂ cos + x₁ sin]`, as ONNX's `RotaryEmbedding` does.
//! `x` is `[batch, heads, tokens, width]` or `[batch, tokens, heads, width]`; which, the tables say, as they do not
//! vary over heads. Tables over the whole width must repeat their first half: they are made of `[f, f]`, or their
//! elements are known.
//!
//! **Proof.** The same products and sums. `tests/lift/recognition.rs` runs every form,
//! `tests/lift/recognised_transformers.rs` whole models.

use porter_ir::{DType, Op, OpKind, Value};

use super::{
    Lift,
    arrange::{Permuted, transposed},
    composites::{cast, rotary},
    view::{Placed, View},
};
use crate::host::Data;

/// The turn whose last op gives `root`.
pub(crate) fn find(view: &View<'_>, root: Value) -> Option<Lift> {
    let &[batch, second, third, width] = view.dims(root) else { return None };
    let found = whole(view, root).or_else(|| halves(view, root))?;
    let Turn { x, cos, sin } = found;
    let dtype = view.dtype(x);
    if !matches!(dtype, DType::F32 | DType::F16 | DType::BF16) || dtype != view.dtype(root) {
        return None;
    }
    let tokens_at = tokens_axis(&[&cos, &sin], [second, third])?;
    let tokens = if tokens_at == 1 { second } else { third };
    // [batch, tokens, heads, width], and back.
    let order = if tokens_at == 1 { [0, 1, 2, 3] } else { [0, 2, 1, 3] };
    let x = Permuted::new(view, x, [0, 1, 2, 3])?;
    Some(Lift::new(root, move |site| {
        let b = &site.b;
        let table = |table: &Placed| {
            let value = site.value(table.value)?;
            let last = table.axes.iter().position(|&axis| axis == Some(3)).unwrap_or(0);
            let value = b.slice_dim(value, last, 0, width / 2)?;
            cast(b, table.over(b, value, &[0, tokens_at, 3], &[batch, tokens, width / 2])?, DType::F32)
        };
        let turned = rotary(b, x.build(site, order)?, table(&cos)?, table(&sin)?)?;
        transposed(b, turned, &order)
    }))
}

struct Turn {
    x: Value,
    cos: Placed,
    sin: Placed,
}

/// `x cos + rotate_half(x) sin`
fn whole(view: &View<'_>, root: Value) -> Option<Turn> {
    view.either(root, OpKind::Add).find_map(|(plain, crossed)| {
        view.either(crossed, OpKind::Multiply).find_map(|(half, sin)| {
            let x = rotated(view, half)?;
            let (_, cos) = view.either(plain, OpKind::Multiply).find(|&(y, _)| y == x)?;
            let (cos, sin) = (view.unspread(cos), view.unspread(sin));
            (repeats(view, cos.value) && repeats(view, sin.value)).then_some(Turn { x, cos, sin })
        })
    })
}

/// `x`, where the value is `[-x₂, x₁]`.
fn rotated(view: &View<'_>, value: Value) -> Option<Value> {
    let (second, first) = view.two(value, OpKind::Concatenate)?;
    joined_last(view, value)?;
    let second = view.one(second, OpKind::Negate)?;
    same_halves(view, first, second)
}

/// `x`, where two values are the halves of its last dimension.
fn same_halves(view: &View<'_>, first: Value, second: Value) -> Option<Value> {
    let (x, place) = half_of(view, first)?;
    let (y, other) = half_of(view, second)?;
    (x == y && place == 0 && other == 1).then_some(x)
}

/// `x` and which half of its last dimension the value is.
fn half_of(view: &View<'_>, value: Value) -> Option<(Value, usize)> {
    let op = view.op(value)?;
    let Op::Slice(slice) = &op.op else { return None };
    let &x = op.operands.first()?;
    let shape = view.dims(x);
    let (&width, outer) = shape.split_last()?;
    let (&start, starts) = slice.starts.split_last()?;
    let (&limit, limits) = slice.limits.split_last()?;
    let half = width / 2;
    let whole = starts.iter().all(|&start| start == 0) && limits == outer;
    let dense = slice.strides.iter().all(|&s| s == 1);
    let place = start.checked_div(half)?;
    let exact = start == place * half && limit == (place + 1) * half;
    (whole && dense && exact && width == 2 * half).then_some((x, place))
}

/// `[x₁ cos - x₂ sin, x₂ cos + x₁ sin]`
fn halves(view: &View<'_>, root: Value) -> Option<Turn> {
    let (real, imaginary) = view.two(root, OpKind::Concatenate)?;
    joined_last(view, root)?;
    let (kept, taken) = view.two(real, OpKind::Subtract)?;
    view.either(kept, OpKind::Multiply).find_map(|(first, cos)| {
        view.either(taken, OpKind::Multiply).find_map(|(second, sin)| {
            let x = same_halves(view, first, second)?;
            let is = |v: Value, a, b| view.either(v, OpKind::Multiply).any(|pair| pair == (a, b));
            let rest = view.either(imaginary, OpKind::Add);
            let fits = { rest }.any(|(p, q)| is(p, second, cos) && is(q, first, sin));
            fits.then(|| Turn { x, cos: view.unspread(cos), sin: view.unspread(sin) })
        })
    })
}

/// Whether a value is joined along its last dimension.
fn joined_last(view: &View<'_>, value: Value) -> Option<()> {
    let Op::Concatenate(op) = &view.op(value)?.op else { return None };
    (op.dimension + 1 == view.dims(value).len()).then_some(())
}

/// Which of the two middle dimensions is that of tokens, for tables that vary along the last and not over heads.
fn tokens_axis(tables: &[&Placed], middle: [usize; 2]) -> Option<usize> {
    let along = |axis| tables.iter().any(|t| t.along(axis));
    if !tables.iter().all(|t| t.along(3)) {
        return None;
    }
    match (along(1), along(2)) {
        (true, false) => Some(1),
        (false, true) => Some(2),
        // One token, whose table has no dimension of its own.
        (false, false) if middle[1] == 1 => Some(2),
        (false, false) if middle[0] == 1 => Some(1),
        _ => None,
    }
}

/// Whether the last dimension holds the same twice: element-wise ops of what does, down to `[f, f]` or known numbers.
fn repeats(view: &View<'_>, value: Value) -> bool {
    let known = || repeats_by_value(view, value).unwrap_or(false);
    let Some(op) = view.op(value) else { return known() };
    match op.op.kind() {
        OpKind::Concatenate => {
            joined_last(view, value).is_some() && matches!(op.operands[..], [a, b] if a == b) || known()
        }
        OpKind::Cosine | OpKind::Sine | OpKind::Convert => {
            op.operands.first().is_some_and(|&x| repeats(view, x))
        }
        OpKind::Multiply | OpKind::Divide => {
            let (inner, _) = view.unscaled(value);
            inner != value && repeats(view, inner)
        }
        OpKind::BroadcastInDim | OpKind::Reshape => {
            let placed = view.unspread(value);
            let last = view.dims(value).len().checked_sub(1);
            let own = view.dims(placed.value).len().checked_sub(1);
            let kept = own.and_then(|own| placed.axes.get(own).copied().flatten());
            placed.value != value && kept.is_some() && kept == last && repeats(view, placed.value)
        }
        _ => known(),
    }
}

fn repeats_by_value(view: &View<'_>, value: Value) -> Option<bool> {
    let host = view.values(value)?;
    let &width = host.ty.shape.last()?;
    let Data::Floats(x) = &host.data else { return None };
    let twice = |row: &[f64]| row.split_at_checked(width / 2).is_some_and(|(first, second)| first == second);
    (width > 0).then(|| x.chunks(width).all(twice))
}
