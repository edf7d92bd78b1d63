//! What becomes of `q · kᵀ` before the softmax.

use porter_ir::{DType, Op, OpKind, Value};

use crate::recognise::{arrange::Permuted, composites::Scores, view::View};

/// How many ops may lie between the product and the softmax.
const DEPTH: usize = 16;

/// `q · kᵀ`, scaled and capped, and what is added or chosen after.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    /// `[batch, heads, tokens, width]`
    pub(crate) q: Permuted,
    /// `[batch, heads, slots, width]`
    pub(crate) k: Permuted,
    pub(crate) scores: Scores,
    pub(crate) terms: Vec<Term>,
}

/// What is done to scores.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Term {
    /// It is added.
    Added(Value),
    /// Where this is `open`, scores are kept; elsewhere they are `closed`.
    Chosen { mask: Value, open: bool, closed: f64 },
}

/// The scores that `value` is.
pub(crate) fn of(view: &View<'_>, value: Value) -> Option<Scored> {
    let mut scored = walk(view, value, DEPTH)?;
    let of_q = unscaled(view, &mut scored.q);
    let of_k = unscaled(view, &mut scored.k);
    scored.scores.scale *= of_q * of_k;
    Some(scored)
}

fn walk(view: &View<'_>, value: Value, depth: usize) -> Option<Scored> {
    let value = view.unconverted(value);
    let depth = depth.checked_sub(1)?;
    if let Some((q, k, turned)) = dot(view, value) {
        let k_order = if turned { [0, 1, 2, 3] } else { [0, 1, 3, 2] };
        let scores = Scores { scale: 1.0, softcap: None };
        let (q, k) = (Permuted::new(view, q, [0, 1, 2, 3])?, Permuted::new(view, k, k_order)?);
        return Some(Scored { q, k, scores, terms: Vec::new() });
    }
    if let Some((base, factor)) = scaled(view, value) {
        if let Some(inner) = view.one(base, OpKind::Tanh) {
            return capped(view, inner, factor, depth);
        }
        let mut scored = bare(view, base, depth)?;
        scored.scores.scale *= factor;
        return Some(scored);
    }
    if let Some(op) = view.is(value, OpKind::Select) {
        let &[mask, a, b] = &op.operands[..] else { return None };
        let (inner, open, closed) = match (view.scalar(a), view.scalar(b)) {
            (None, Some(closed)) => (a, true, closed),
            (Some(closed), None) => (b, false, closed),
            _ => return None,
        };
        let mut scored = walk(view, inner, depth)?;
        scored.terms.push(Term::Chosen { mask, open, closed });
        return Some(scored);
    }
    let added =
        view.either(value, OpKind::Add).find_map(|(inner, term)| Some((walk(view, inner, depth)?, term)));
    added.map(|(mut scored, term)| {
        scored.terms.push(Term::Added(term));
        scored
    })
}

/// Scores to which nothing was added yet and which are not capped.
fn bare(view: &View<'_>, value: Value, depth: usize) -> Option<Scored> {
    walk(view, value, depth).filter(|s| s.terms.is_empty() && s.scores.softcap.is_none())
}

/// `cap · tanh(inner)`, where `inner` is scores over `cap`.
fn capped(view: &View<'_>, inner: Value, cap: f64, depth: usize) -> Option<Scored> {
    let mut scored = bare(view, inner, depth)?;
    scored.scores = Scores { scale: scored.scores.scale * cap, softcap: Some(cap) };
    (cap > 0.0).then_some(scored)
}

/// A value without its factors, where it has some.
fn scaled(view: &View<'_>, value: Value) -> Option<(Value, f64)> {
    let (base, factor) = view.unscaled(value);
    (base != value).then_some((base, factor))
}

/// Takes the factors out of a tensor, before and after its transposes.
fn unscaled(view: &View<'_>, tensor: &mut Permuted) -> f64 {
    let mut factor = 1.0;
    while let Some((value, more)) = scaled(view, tensor.value) {
        *tensor = Permuted { value, ..*tensor }.before(view);
        factor *= more;
    }
    factor
}

/// The operands of a product of matrices of `[batch, heads]`, and whether the right one is contracted over its last
/// dimension.
pub(crate) fn dot(view: &View<'_>, value: Value) -> Option<(Value, Value, bool)> {
    let op = view.op(value)?;
    let (Op::DotGeneral(dot), &[a, b]) = (&op.op, &op.operands[..]) else { return None };
    let d = &dot.dimensions;
    let batched = d.lhs_batching == [0, 1] && d.rhs_batching == [0, 1];
    let four = view.dims(a).len() == 4 && view.dims(b).len() == 4;
    let turned = match d.rhs_contracting[..] {
        [3] => true,
        [2] => false,
        _ => return None,
    };
    (batched && four && d.lhs_contracting == [3]).then_some((a, b, turned))
}

/// Whether a score of `number` is one that no other comes near.
pub(crate) fn is_closed(view: &View<'_>, like: Value, number: f64) -> bool {
    number <= if view.dtype(like) == DType::F16 { -6e4 } else { -1e30 }
}
