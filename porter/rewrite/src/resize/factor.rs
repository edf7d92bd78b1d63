//! What a dimension is made of, and what it becomes.

use std::collections::VecDeque;

use porter_ir::{Builder, DType, Direction, Result, TensorType, Value};
use porter_weights::Expr;

/// What a part of a dimension counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something that stays.
    Same,
    /// Key-value heads, which are repeated where they become a multiple, and padded otherwise.
    KvHeads,
    /// The query heads of a key-value head, which are padded, and divided where that is repeated.
    Group,
    /// Something that is padded at its end.
    Padded,
}

/// A factor of a dimension's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Factor {
    pub(crate) kind: Kind,
    pub(crate) old: usize,
    pub(crate) new: usize,
}

impl Factor {
    pub(crate) fn same(size: usize) -> Self {
        Self { kind: Kind::Same, old: size, new: size }
    }
}

pub(super) fn new_size(factors: &[Factor]) -> usize {
    factors.iter().map(|factor| factor.new).product()
}

/// Without factors of one, and with neighbours that stay as one. A group of heads stays what it is even where its size
/// does, because copies of its key-value head divide it.
pub(super) fn merged(factors: impl IntoIterator<Item = Factor>) -> Vec<Factor> {
    let mut merged: Vec<Factor> = Vec::new();
    for factor in factors {
        let stays = factor.kind != Kind::Group && factor.old == factor.new;
        let factor = if stays { Factor::same(factor.old) } else { factor };
        match merged.last_mut() {
            _ if factor.kind == Kind::Same && factor.old == 1 => {}
            Some(last) if last.kind == Kind::Same && factor.kind == Kind::Same => {
                *last = Factor::same(last.old * factor.old);
            }
            _ => merged.push(factor),
        }
    }
    merged
}

/// The factors of each of `sizes`, which is another shape of the same elements. None where a size ends inside a
/// factor that changes.
pub(super) fn regrouped(factors: Vec<Factor>, sizes: &[usize]) -> Option<Vec<Vec<Factor>>> {
    let mut rest: VecDeque<Factor> = merged(factors).into();
    let mut groups = Vec::with_capacity(sizes.len());
    for (i, &size) in sizes.iter().enumerate() {
        let (mut wanted, mut group) = (size, Vec::new());
        while wanted > 1 {
            let factor = rest.pop_front()?;
            if wanted.is_multiple_of(factor.old) {
                wanted /= factor.old;
                group.push(factor);
            } else if factor.kind == Kind::Same && factor.old.is_multiple_of(wanted) {
                group.push(Factor::same(wanted));
                rest.push_front(Factor::same(factor.old / wanted));
                wanted = 1;
            } else {
                return None;
            }
        }
        // A group of one head goes to a dimension of one, or with its key-value heads where there is none.
        let here = size == 1 || sizes.get(i + 1) != Some(&1);
        let single = |factor: &Factor| factor.kind == Kind::Group && factor.old == 1;
        if here && rest.front().is_some_and(single) {
            group.extend(rest.pop_front());
        }
        groups.push(group);
    }
    Some(groups)
}

/// How many times a dimension's key-value heads are repeated.
fn repeats(factors: &[Factor]) -> usize {
    let heads = factors.iter().find(|factor| factor.kind == Kind::KvHeads);
    heads.filter(|f| f.new.is_multiple_of(f.old)).map_or(1, |f| f.new / f.old.max(1))
}

/// `expr`, of `shape`, with dimension `dim` as `factors` say, and its shape then.
pub(super) fn resized(expr: Expr, shape: &[usize], dim: usize, factors: &[Factor]) -> (Expr, Vec<usize>) {
    let times = repeats(factors);
    let grouped = factors.iter().any(|factor| factor.kind == Kind::Group);
    let mut apart = shape[..dim].to_vec();
    let mut padding = vec![(0, 0); dim];
    for factor in factors {
        // The query heads of all copies of a key-value head are one row of heads, padded at its end.
        let new = match factor.kind {
            Kind::KvHeads if times > 1 => factor.old,
            Kind::Group => factor.new * times,
            _ => factor.new,
        };
        apart.push(factor.old);
        padding.push((0, new - factor.old));
    }
    apart.extend(&shape[dim + 1..]);
    padding.resize(apart.len(), (0, 0));
    let mut expr = expr.reshape(apart);
    if padding.iter().any(|&(_, high)| high > 0) {
        expr = expr.pad(padding);
    }
    if times > 1 && !grouped {
        let heads = factors.iter().position(|factor| factor.kind == Kind::KvHeads).unwrap_or(0);
        expr = expr.repeat(dim + heads, times);
    }
    let mut new = shape.to_vec();
    new[dim] = new_size(factors);
    (expr.reshape(new.clone()), new)
}

/// The lanes of a dimension that are not padding: `lane / inner % period < kept`.
struct Lanes {
    inner: usize,
    period: usize,
    kept: usize,
}

impl Lanes {
    /// One for each factor that is padded.
    fn of(factors: &[Factor]) -> Vec<Self> {
        let times = repeats(factors);
        let inner = |at: usize| factors[at + 1..].iter().map(|factor| factor.new).product();
        let lanes = factors.iter().enumerate().filter_map(|(at, factor)| match factor.kind {
            Kind::Same => None,
            Kind::KvHeads if times > 1 => None,
            Kind::Group => Some(Self { inner: inner(at), period: factor.new * times, kept: factor.old }),
            Kind::KvHeads | Kind::Padded => {
                Some(Self { inner: inner(at), period: factor.new, kept: factor.old })
            }
        });
        lanes.filter(|lanes| lanes.kept < lanes.period).collect()
    }
}

/// `x` with zeros in the padding of dimension `dim`, whatever stands there.
pub(super) fn masked(b: &Builder, x: Value, dim: usize, factors: &[Factor]) -> Result<Value> {
    let ty = TensorType::new(DType::I32, [new_size(factors)]);
    let mut masked = x;
    for lanes in Lanes::of(factors) {
        let scalar = |value: usize| b.full(ty.clone(), value as f64);
        let lane = b.divide(b.iota(ty.clone(), 0)?, scalar(lanes.inner)?)?;
        let lane = b.remainder(lane, scalar(lanes.period)?)?;
        let kept = b.compare(lane, scalar(lanes.kept)?, Direction::Lt)?;
        let kept = b.broadcast_in_dim(kept, b.shape(x), &[dim])?;
        masked = b.select(kept, masked, b.full_like(x, 0.0)?)?;
    }
    Ok(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KV: Factor = Factor { kind: Kind::KvHeads, old: 2, new: 4 };
    const GROUP: Factor = Factor { kind: Kind::Group, old: 3, new: 2 };

    #[test]
    fn reshapes_split_and_join_factors() {
        let rows = vec![KV, GROUP, Factor::same(8)];
        let split = regrouped(rows.clone(), &[6, 8]).unwrap();
        assert_eq!(split, [vec![KV, GROUP], vec![Factor::same(8)]]);
        let finer = regrouped(split.concat(), &[2, 3, 2, 4]).unwrap();
        assert_eq!(finer, [vec![KV], vec![GROUP], vec![Factor::same(2)], vec![Factor::same(4)]]);
        assert_eq!(merged(finer.concat()), rows);
        assert_eq!(regrouped(rows, &[4, 12]), None);
    }

    #[test]
    fn query_heads_are_padded_and_key_heads_repeated() {
        let (keys, shape) = resized(Expr::source("k"), &[16, 5], 0, &[KV, Factor::same(8)]);
        assert_eq!(shape, [32, 5]);
        assert_eq!(keys, Expr::source("k").reshape([2, 8, 5]).repeat(0, 2).reshape([32, 5]));
        let (queries, shape) = resized(Expr::source("q"), &[48, 5], 0, &[KV, GROUP, Factor::same(8)]);
        assert_eq!(shape, [64, 5]);
        let padding = [(0, 0), (0, 1), (0, 0), (0, 0)];
        assert_eq!(queries, Expr::source("q").reshape([2, 3, 8, 5]).pad(padding).reshape([64, 5]));
    }

    #[test]
    fn a_group_of_one_head_is_padded_and_not_repeated() {
        let group = Factor { kind: Kind::Group, old: 1, new: 1 };
        let rows = vec![KV, group, Factor::same(8)];
        assert_eq!(regrouped(rows.clone(), &[2, 8]).unwrap(), [vec![KV, group], vec![Factor::same(8)]]);
        let apart = regrouped(rows.clone(), &[2, 1, 8]).unwrap();
        assert_eq!(apart, [vec![KV], vec![group], vec![Factor::same(8)]]);
        assert_eq!(regrouped(apart.concat(), &[16]).unwrap(), std::slice::from_ref(&rows));
        let (queries, shape) = resized(Expr::source("q"), &[16, 5], 0, &rows);
        let padding = [(0, 0), (0, 1), (0, 0), (0, 0)];
        assert_eq!(queries, Expr::source("q").reshape([2, 1, 8, 5]).pad(padding).reshape([32, 5]));
        assert_eq!(shape, [32, 5]);
    }
}
