//! # Attention
//!
//! **What.** `porter.attention`, or `porter.biased_attention` where what is added to the scores is more than a mask.
//!
//! **Pattern.** `softmax(s) · v` over `[batch, heads, tokens, width]`, where `s` is `q · kᵀ`
//! - with factors anywhere: on the product, on `q`, on `k`, the root of the factor on both;
//! - with `c · tanh(s / c)` (soft cap);
//! - with masks chosen (`where(mask, s, -inf)`) or added (`where(mask, 0, -inf)`), and with other terms added;
//! - with keys and values repeated for groups of heads (`repeat_kv`), which are then read in place;
//! - with rows whose weights are NaN set to zero, as torch does for rows that see nothing.
//!
//! Transposes of `q`, `k` and `v`, and that of the result with its heads joined, become part of it. A term is a mask
//! where it is made by a `where` of 0 and a number that no score comes near, or where its elements are known and are
//! only these: then the mask itself is taken. Any other term is a bias.
//!
//! **Proof.** The same function of real numbers, with the products accumulated in `f32`. Rows that see nothing give
//! what they gave (an average, or zeros); only where they gave NaN they give an average. `tests/lift/recognition.rs`
//! runs every form, `tests/lift/recognised_transformers.rs` whole models.

mod emit;
mod mask;
mod scores;

use porter_ir::{DType, Direction, Op, OpKind, Value};

use super::{
    Lift,
    arrange::{Permuted, unreshaped},
    norm::folded_last,
    view::View,
};
use emit::Attention;

/// The attention whose last op gives `root`: the product with the values, or what joins its heads.
pub(crate) fn find(view: &View<'_>, root: Value) -> Option<Lift> {
    let found = product(view, root)?;
    let joined = joined(view, root);
    let root = joined.unwrap_or(root);
    Some(Lift::new(root, move |site| found.build(site, joined.is_some())))
}

/// `weights · v`
fn product(view: &View<'_>, root: Value) -> Option<Attention> {
    let (weights, v, turned) = scores::dot(view, root)?;
    // Values are contracted over their slots.
    if turned {
        return None;
    }
    let (weights, guarded) = unguarded(view, view.unconverted(weights));
    let logits = softmax(view, view.unconverted(weights))?;
    let scored = scores::of(view, logits)?;
    let q = scored.q;
    let (k, k_groups) = ungrouped(view, scored.k);
    let (v, v_groups) = ungrouped(view, Permuted::new(view, v, [0, 1, 2, 3])?);
    let ([batch, heads, tokens, width], [_, groups, slots, k_width]) = (q.dims(), k.dims());
    let [_, v_heads, v_slots, v_width] = v.dims();
    let grouped = k_groups == v_groups && groups > 0 && heads % groups == 0 && v_heads == groups;
    let dtype = view.dtype(root);
    let typed = [q, k, v].iter().all(|x| view.dtype(x.value) == dtype);
    let supported = matches!(dtype, DType::F32 | DType::F16 | DType::BF16);
    if !grouped || !typed || !supported || width != k_width || slots != v_slots {
        return None;
    }
    let terms = mask::read(view, &scored.terms, [batch, heads, tokens, slots])?;
    let sizes = [batch, heads, tokens, slots];
    Some(Attention { q, k, v, v_width, sizes, scores: scored.scores, terms, guarded })
}

/// `[batch, tokens, heads · width]` of the product, where that is all that is read of it.
fn joined(view: &View<'_>, root: Value) -> Option<Value> {
    let turned = view.only_user(root, OpKind::Transpose)?;
    let Op::Transpose(transpose) = &view.op(turned)?.op else { return None };
    let joined = view.only_user(turned, OpKind::Reshape)?;
    let &[batch, tokens, heads, width] = view.dims(turned) else { return None };
    let fits = transpose.permutation == [0, 2, 1, 3] && view.dims(joined) == [batch, tokens, heads * width];
    fits.then_some(joined)
}

/// Weights whose NaNs become zeros, before that.
fn unguarded(view: &View<'_>, value: Value) -> (Value, bool) {
    let inner = || {
        let &[p, zero, weights] = &view.is(value, OpKind::Select)?.operands[..] else { return None };
        let clears = view.scalar(zero)? == 0.0 && is_nan_of(view, p, weights);
        clears.then_some(weights)
    };
    inner().map_or((value, false), |weights| (weights, true))
}

/// Whether `p` is where `x` is NaN, or a part of that.
fn is_nan_of(view: &View<'_>, p: Value, x: Value) -> bool {
    if let Some(op) = view.is(p, OpKind::Compare) {
        let differs = matches!(&op.op, Op::Compare(c) if c.direction == Direction::Ne);
        return differs && op.operands == [x, x];
    }
    view.two(p, OpKind::And).is_some_and(|(a, b)| is_nan_of(view, a, x) || is_nan_of(view, b, x))
}

/// `x`, where the value is the softmax of `x` over its last dimension.
fn softmax(view: &View<'_>, value: Value) -> Option<Value> {
    let (e, total) = view.two(value, OpKind::Divide)?;
    let x = view.one(e, OpKind::Exponential)?;
    let summed = folded_last(view, view.unspread_rows(total)?, OpKind::Add)?;
    let (x, most) = view.two(x, OpKind::Subtract)?;
    let greatest = folded_last(view, view.unspread_rows(most)?, OpKind::Maximum)?;
    (summed == e && greatest == x).then_some(x)
}

/// `[batch, heads, slots, width]` before its heads were repeated, and how often that was.
fn ungrouped(view: &View<'_>, x: Permuted) -> (Permuted, usize) {
    let inner = || {
        let [batch, heads, slots, width] = x.shape;
        let wide = unreshaped(view, x.value);
        let &[_, groups, times, _, _] = view.dims(wide) else { return None };
        let op = view.op(wide)?;
        let (Op::BroadcastInDim(spread), &[value]) = (&op.op, &op.operands[..]) else { return None };
        let source = match (view.dims(value), &spread.dimensions[..]) {
            (&[a, b, c, d], [0, 1, 3, 4]) | (&[a, b, 1, c, d], [0, 1, 2, 3, 4]) => [a, b, c, d],
            _ => return None,
        };
        let shape = [batch, groups, slots, width];
        let fits = view.dims(wide) == [batch, groups, times, slots, width]
            && heads == groups * times
            && source == shape
            && x.order == [0, 1, 2, 3];
        let value =
            [unreshaped(view, value), value].into_iter().find(|&v| view.dims(v) == shape).unwrap_or(value);
        fits.then(|| (Permuted { value, shape, order: x.order }.before(view), times))
    };
    inner().unwrap_or((x, 1))
}
