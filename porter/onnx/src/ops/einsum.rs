//! `Einsum`: sums of products named by letters.
//!
//! <https://onnx.ai/onnx/operators/onnx__Einsum.html>
//! Versions: 12.

use crate::help::prelude::*;

pub(crate) fn lower(cx: &Cx<'_, '_>) -> Out {
    let all = cx.all()?;
    let equation: String = cx.string("equation", "").chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left.to_owned(), Some(right.to_owned())),
        None => (equation.clone(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != all.len() {
        return invalid(format!("{} terms for {} inputs", terms.len(), all.len()));
    }
    let mut labels = Vec::new();
    for (term, &x) in terms.iter().zip(&all) {
        labels.push(letters(term, cx.rank(x))?);
    }
    let output: Vec<Label> = if let Some(right) = &right {
        let most = labels.iter().flatten().filter(|l| matches!(l, Label::Dot(_))).map(|l| if let Label::Dot(i) = l { i + 1 } else { 0 }).max();
        let rest = right.replace("...", "").len();
        letters(right, if right.contains("...") { rest + most.unwrap_or(0) } else { rest })?
    } else {
        let mut once: Vec<Label> = labels.iter().flatten().copied().collect();
        once.sort();
        let mut kept: Vec<Label> = once.clone();
        kept.dedup();
        kept.retain(|l| matches!(l, Label::Dot(_)) || once.iter().filter(|x| *x == l).count() == 1);
        kept
    };
    let mut space: Vec<Label> = output.clone();
    for label in labels.iter().flatten() {
        if !space.contains(label) {
            space.push(*label);
        }
    }
    let mut parts = Vec::new();
    for (x, names) in all.into_iter().zip(labels) {
        parts.push(placed(cx, x, names, &space)?);
    }
    let parts = cx.together(&parts)?;
    let mut product = parts.at(0)?;
    for &part in parts.part(1..)? {
        product = cx.multiply(product, part)?;
    }
    let summed: Vec<usize> = (output.len()..space.len()).collect();
    one(cx.fold(product, &summed, Fold::Sum)?)
}

/// A dimension's name; those of an ellipsis are counted from the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Dot(usize),
    Letter(char),
}

fn letters(term: &str, rank: usize) -> Result<Vec<Label>, Fault> {
    let named = term.replace("...", "").chars().count();
    let dots = rank.saturating_sub(named);
    let labels: Vec<Label> = match term.split_once("...") {
        Some((before, after)) => {
            let between = (0..dots).rev().map(Label::Dot);
            before.chars().map(Label::Letter).chain(between).chain(after.chars().map(Label::Letter)).collect()
        }
        None => term.chars().map(Label::Letter).collect(),
    };
    if labels.len() == rank { Ok(labels) } else { invalid(format!("term {term:?} for a tensor of rank {rank}")) }
}

/// `x` with the dimensions of `space`, size 1 where it lacks one; of a repeated letter the diagonal.
fn placed(cx: &Cx<'_, '_>, mut x: Value, mut names: Vec<Label>, space: &[Label]) -> One {
    while let Some((i, j)) = repeated(&names) {
        let shape = cx.dims(x);
        let here = cx.compare(arange(cx, DType::I64, &shape, i)?, arange(cx, DType::I64, &shape, j)?, Direction::Eq)?;
        x = cx.fold(cx.select(here, x, cx.full_like(x, 0.0)?)?, &[j], Fold::Sum)?;
        names.remove(j);
    }
    let order: Vec<usize> = space.iter().filter_map(|l| names.iter().position(|n| n == l)).collect();
    let shape = cx.dims(x);
    let size = |l: &Label| names.iter().position(|n| n == l).map_or(Ok(1), |p| shape.at(p));
    let sizes: Vec<usize> = space.iter().map(size).collect::<Result<_, _>>()?;
    cx.reshaped(permuted(cx, x, &order)?, sizes)
}

fn repeated(names: &[Label]) -> Option<(usize, usize)> {
    let second = |(i, name): (usize, &Label)| {
        names.iter().skip(i + 1).position(|other| other == name).map(|j| (i, i + 1 + j))
    };
    names.iter().enumerate().find_map(second)
}
