//! # Activations
//!
//! **What.** `porter.silu`, `porter.gelu`, `porter.gelu_tanh`, `porter.quick_gelu`.
//!
//! **Pattern.** Any arrangement of sums, products and powers around a `logistic`, `erf` or `tanh` that is, as a
//! polynomial in `x` and that gate, one of these; compared coefficient by coefficient, so that it does not matter
//! how the exporter ordered the factors or where it put the constants.
//!
//! | | gate | value |
//! |---|---|---|
//! | `silu` | `logistic(x)` | `x g` |
//! | `quick_gelu` | `logistic(1.702 x)` | `x g` |
//! | `gelu` | `erf(x / √2)` | `x/2 + x/2 g` |
//! | `gelu_tanh` | `tanh(√(2/π) (x + 0.044715 x³))` | `x/2 + x/2 g` |
//!
//! **Proof.** Equal polynomials are equal functions; coefficients are compared as near as the element type tells.
//! `tests/lift/recognition.rs` runs every form, `tests/lift/recognised_transformers.rs` whole models.

use std::{collections::HashSet, f64::consts::FRAC_1_SQRT_2};

use porter_ir::{DType, OpKind, Value};

use super::{
    Lift,
    composites::{Activation, GELU_CUBE, GELU_SLOPE, QUICK_SLOPE},
    view::{View, about},
};

/// How far from the gate the ends of an activation are looked for, in ops.
const REACH: usize = 6;
/// The most values that are tried for `x`, or as the activation's result.
const TRIED: usize = 24;

/// The activation whose gate is given by `gate`.
pub(crate) fn find(view: &View<'_>, gate: Value) -> Option<Lift> {
    let op = view.op(gate)?;
    if !matches!(op.op.kind(), OpKind::Logistic | OpKind::Erf | OpKind::Tanh) {
        return None;
    }
    let &inner = op.operands.first()?;
    let starts = reached(inner, |v| arithmetic(view, v));
    let ends = reached(gate, |v| users(view, v));
    let pairs = starts.iter().flat_map(|&x| ends.iter().rev().map(move |&root| (x, root)));
    pairs.into_iter().find_map(|(x, root)| {
        let kind = kind(view, op.op.kind(), x, inner)?;
        is_result(view, kind, root, x, gate).then(|| lift(view, kind, root, x))?
    })
}

fn lift(view: &View<'_>, kind: Activation, root: Value, x: Value) -> Option<Lift> {
    let same = view.program.ty(root) == view.program.ty(x);
    let supported = matches!(view.dtype(x), DType::F32 | DType::F16 | DType::BF16);
    (same && supported).then(|| Lift::new(root, move |site| kind.apply(&site.b, site.value(x)?)))
}

/// What the gate is of, as a polynomial in `x`, says which activation it is.
fn kind(view: &View<'_>, gate: OpKind, x: Value, inner: Value) -> Option<Activation> {
    let found = Polynomial::of(view, inner, x, None, REACH)?;
    let is = |line: f64, cube: f64| found.is(view.dtype(x), &[(1, 0, line), (3, 0, cube)]);
    match gate {
        OpKind::Logistic if is(1.0, 0.0) => Some(Activation::Silu),
        OpKind::Logistic if is(QUICK_SLOPE, 0.0) => Some(Activation::QuickGelu),
        OpKind::Erf if is(FRAC_1_SQRT_2, 0.0) => Some(Activation::Gelu),
        OpKind::Tanh if is(GELU_SLOPE, GELU_SLOPE * GELU_CUBE) => Some(Activation::GeluTanh),
        _ => None,
    }
}

fn is_result(view: &View<'_>, kind: Activation, root: Value, x: Value, gate: Value) -> bool {
    let Some(found) = Polynomial::of(view, root, x, Some(gate), REACH) else { return false };
    match kind {
        Activation::Silu | Activation::QuickGelu => found.is(view.dtype(x), &[(1, 1, 1.0)]),
        Activation::Gelu | Activation::GeluTanh => found.is(view.dtype(x), &[(1, 0, 0.5), (1, 1, 0.5)]),
    }
}

/// The operands of an op that polynomials are made of.
fn arithmetic(view: &View<'_>, value: Value) -> Vec<Value> {
    let Some(op) = view.op(value) else { return Vec::new() };
    match op.op.kind() {
        OpKind::Add
        | OpKind::Subtract
        | OpKind::Multiply
        | OpKind::Divide
        | OpKind::Power
        | OpKind::Negate
        | OpKind::Convert => op.operands.iter().copied().filter(|&v| view.scalar(v).is_none()).collect(),
        _ => Vec::new(),
    }
}

fn users(view: &View<'_>, value: Value) -> Vec<Value> {
    let kinds = [OpKind::Add, OpKind::Multiply, OpKind::Divide, OpKind::Convert];
    let users = view.users(value).filter(|op| kinds.contains(&op.op.kind()));
    users.flat_map(|op| op.results.iter().copied()).collect()
}

/// Values that are reached from `start` by steps, nearest first.
fn reached(start: Value, step: impl Fn(Value) -> Vec<Value>) -> Vec<Value> {
    let (mut found, mut seen, mut edge) = (vec![start], HashSet::from([start]), vec![start]);
    for _ in 0..REACH {
        edge = edge.into_iter().flat_map(&step).filter(|&v| seen.insert(v)).collect();
        found.extend(&edge);
        if edge.is_empty() || found.len() > TRIED {
            break;
        }
    }
    found.truncate(TRIED);
    found
}

/// A polynomial of degree at most 3 in `x` and 1 in the gate `g`: the coefficient of `xⁱ gʲ` at `[i][j]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Polynomial([[f64; 2]; 4]);

impl Polynomial {
    fn constant(c: f64) -> Self {
        let mut p = Self::default();
        p.0[0][0] = c;
        p
    }

    /// The value as a polynomial in `x` and `gate`, over so many ops.
    fn of(view: &View<'_>, value: Value, x: Value, gate: Option<Value>, depth: usize) -> Option<Self> {
        let mut p = Self::default();
        if value == x {
            p.0[1][0] = 1.0;
            return Some(p);
        }
        if Some(value) == gate {
            p.0[0][1] = 1.0;
            return Some(p);
        }
        if let Some(c) = view.scalar(value) {
            return Some(Self::constant(c));
        }
        let op = view.op(value)?;
        let depth = depth.checked_sub(1)?;
        let at = |i: usize| Self::of(view, *op.operands.get(i)?, x, gate, depth);
        match op.op.kind() {
            OpKind::Add => Some(at(0)?.plus(&at(1)?, 1.0)),
            OpKind::Subtract => Some(at(0)?.plus(&at(1)?, -1.0)),
            OpKind::Multiply => at(0)?.times(&at(1)?),
            OpKind::Divide => at(0)?.times(&Self::constant(1.0 / view.scalar(*op.operands.get(1)?)?)),
            OpKind::Negate => at(0)?.times(&Self::constant(-1.0)),
            OpKind::Convert if view.dtype(*op.operands.first()?).is_float() => at(0),
            OpKind::Power => {
                let (base, exponent) = (at(0)?, view.scalar(*op.operands.get(1)?)?);
                match exponent {
                    2.0 => base.times(&base),
                    3.0 => base.times(&base)?.times(&base),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn plus(mut self, other: &Self, sign: f64) -> Self {
        for (row, more) in self.0.iter_mut().zip(&other.0) {
            for (c, more) in row.iter_mut().zip(more) {
                *c += sign * more;
            }
        }
        self
    }

    /// The product; `None` where its degree is too high.
    fn times(&self, other: &Self) -> Option<Self> {
        let mut product = Self::default();
        for (i, j, a) in self.terms() {
            for (k, l, b) in other.terms() {
                *product.0.get_mut(i + k)?.get_mut(j + l)? += a * b;
            }
        }
        Some(product)
    }

    fn terms(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        let rows = self.0.iter().enumerate();
        let all = rows.flat_map(|(i, row)| row.iter().enumerate().map(move |(j, &c)| (i, j, c)));
        all.filter(|&(_, _, c)| c != 0.0)
    }

    /// Whether the coefficients are these, and the others 0.
    fn is(&self, dtype: DType, expected: &[(usize, usize, f64)]) -> bool {
        let coefficient =
            |i, j| expected.iter().find(|&&(k, l, _)| (k, l) == (i, j)).map_or(0.0, |&(_, _, c)| c);
        let rows = self.0.iter().enumerate();
        let mut all = rows.flat_map(|(i, row)| row.iter().enumerate().map(move |(j, &c)| (i, j, c)));
        all.all(|(i, j, c)| about(dtype, c, coefficient(i, j)))
    }
}
