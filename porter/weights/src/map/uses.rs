//! How often an expression uses each element of its sources.

use std::{collections::BTreeMap, ops::Range};

use porter_ir::Shape;

use super::{Expr, ExprError, WeightMap, runs::product};
use crate::Checkpoint;

/// A box of a source, every element of which is used the same number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The box: a range for each dimension, none of them empty.
    pub ranges: Vec<Range<usize>>,
    /// How often; where boxes overlap, as often as all of them say.
    pub times: usize,
}

/// Boxes of one expression. Only slices of reshaped tensors, element by element, come near it.
const MAX_BOXES: usize = 1 << 16;

impl Expr {
    /// How many elements of the result come from each element of each source. Elements in no box are not
    /// used. A quantised tensor uses each of its pieces once and whole, and so does quantising its input.
    ///
    /// # Errors
    /// As [`Expr::infer`], and where more than 65,536 boxes would have to be told apart.
    pub fn uses(&self, checkpoint: &dyn Checkpoint) -> Result<BTreeMap<String, Vec<Use>>, ExprError> {
        let mut uses = Uses::default();
        let term = Shaped::new(self, checkpoint)?;
        uses.add(&term, &whole(&term.shape), 1)?;
        Ok(uses.by_source)
    }
}

impl WeightMap {
    /// How many elements of the parameters come from each element of each checkpoint tensor. Tied
    /// parameters are one.
    ///
    /// # Errors
    /// Those of [`Expr::uses`], for the first parameter that has one.
    pub fn uses(&self, checkpoint: &dyn Checkpoint) -> Result<BTreeMap<String, Vec<Use>>, ExprError> {
        let mut all: BTreeMap<String, Vec<Use>> = BTreeMap::new();
        for (_, _, expr) in self.computed() {
            for (source, uses) in expr.uses(checkpoint)? {
                all.entry(source).or_default().extend(uses);
            }
        }
        Ok(all)
    }
}

/// A term and its shape, and those of its inputs.
struct Shaped<'e> {
    expr: &'e Expr,
    shape: Shape,
    inputs: Vec<Shaped<'e>>,
}

impl<'e> Shaped<'e> {
    fn new(expr: &'e Expr, checkpoint: &dyn Checkpoint) -> Result<Self, ExprError> {
        let inputs = expr.inputs().iter().map(|input| Shaped::new(input, checkpoint));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { expr, shape: expr.infer(checkpoint)?.shape, inputs })
    }
}

#[derive(Default)]
struct Uses {
    by_source: BTreeMap<String, Vec<Use>>,
    boxes: usize,
}

impl Uses {
    /// Adds what `times` uses of each element in the box `ranges` of a term's result use.
    fn add(&mut self, term: &Shaped<'_>, ranges: &[Range<usize>], times: usize) -> Result<(), ExprError> {
        if ranges.iter().any(Range::is_empty) {
            return Ok(());
        }
        let inputs = &term.inputs;
        match term.expr {
            Expr::Source(name) => self.insert(name, ranges, times),
            Expr::Cast { .. } => inputs.iter().try_for_each(|input| self.add(input, ranges, times)),
            Expr::Dequantise { .. } | Expr::Quantise { .. } => {
                inputs.iter().try_for_each(|input| self.add(input, &whole(&input.shape), 1))
            }
            Expr::Permute { dims, .. } => {
                let mut before = ranges.to_vec();
                for (range, dim) in ranges.iter().zip(dims) {
                    before[*dim] = range.clone();
                }
                inputs.iter().try_for_each(|input| self.add(input, &before, times))
            }
            Expr::Reshape { .. } => inputs.iter().try_for_each(|input| {
                reshaped(&term.shape, ranges, &input.shape)
                    .ok_or_else(too_many)?
                    .iter()
                    .try_for_each(|ranges| self.add(input, ranges, times))
            }),
            Expr::Slice { ranges: kept, .. } => {
                let moved = ranges.iter().zip(kept).map(|(r, kept)| r.start + kept.start..r.end + kept.start);
                let moved: Vec<_> = moved.collect();
                inputs.iter().try_for_each(|input| self.add(input, &moved, times))
            }
            Expr::Concat { dim, .. } => self.joined(inputs, *dim, ranges, times),
            Expr::Stack { .. } => {
                let [first, rest @ ..] = ranges else { return Ok(()) };
                inputs[first.clone()].iter().try_for_each(|input| self.add(input, rest, times))
            }
            Expr::Pad { padding, .. } => inputs.iter().try_for_each(|input| {
                let inside = ranges.iter().zip(padding).zip(input.shape.iter());
                let inside = inside.map(|((range, (low, _)), size)| {
                    range.start.saturating_sub(*low)..range.end.saturating_sub(*low).min(*size)
                });
                self.add(input, &inside.collect::<Vec<_>>(), times)
            }),
            Expr::Repeat { dim, times: copies, .. } => {
                let mut once = ranges.to_vec();
                for (slices, count) in repeated(&ranges[*dim], *copies) {
                    once[*dim] = slices;
                    inputs
                        .iter()
                        .try_for_each(|input| self.add(input, &once, times.saturating_mul(count)))?;
                }
                Ok(())
            }
        }
    }

    /// The parts of a box of inputs that stand one after another along `dim`.
    fn joined(
        &mut self,
        inputs: &[Shaped<'_>],
        dim: usize,
        ranges: &[Range<usize>],
        times: usize,
    ) -> Result<(), ExprError> {
        let (mut begin, mut part) = (0, ranges.to_vec());
        for input in inputs {
            let end = begin + input.shape[dim];
            let range = &ranges[dim];
            part[dim] = range.start.clamp(begin, end) - begin..range.end.clamp(begin, end) - begin;
            self.add(input, &part, times)?;
            begin = end;
        }
        Ok(())
    }

    fn insert(&mut self, name: &str, ranges: &[Range<usize>], times: usize) -> Result<(), ExprError> {
        self.boxes += 1;
        if self.boxes > MAX_BOXES {
            return Err(too_many());
        }
        let uses = self.by_source.entry(name.to_owned()).or_default();
        uses.push(Use { ranges: ranges.to_vec(), times });
        Ok(())
    }
}

fn too_many() -> ExprError {
    let what = format!("its elements fall into more than {MAX_BOXES} boxes, which are not told apart");
    ExprError::Term { term: "uses", what }
}

/// All of a shape.
fn whole(shape: &Shape) -> Vec<Range<usize>> {
    shape.iter().map(|&size| 0..size).collect()
}

/// The slices that `range` of their copies comes from, and how many copies of each it has.
fn repeated(range: &Range<usize>, copies: usize) -> Vec<(Range<usize>, usize)> {
    let (first, last) = (range.start / copies, (range.end - 1) / copies);
    let of = |slice: usize| range.end.min((slice + 1) * copies) - range.start.max(slice * copies);
    let mut slices = vec![(first..first + 1, of(first))];
    if last > first + 1 {
        slices.push((first + 1..last, copies));
    }
    if last > first {
        slices.push((last..last + 1, of(last)));
    }
    slices
}

/// The boxes of `before` that a box of the same elements in another shape is.
fn reshaped(after: &Shape, ranges: &[Range<usize>], before: &Shape) -> Option<Vec<Vec<Range<usize>>>> {
    let cut = ranges.iter().zip(after.iter()).rposition(|(range, size)| range.len() != *size);
    let Some(cut) = cut else { return Some(vec![whole(before)]) };
    let inner = product(after.iter().skip(cut + 1));
    let outer: Vec<usize> = ranges[..cut].iter().map(Range::len).collect();
    let runs =
        outer.iter().try_fold(1_usize, |n, size| n.checked_mul(*size)).filter(|runs| *runs <= MAX_BOXES)?;
    let mut boxes = Vec::new();
    for run in 0..runs {
        let (mut rest, mut row, mut stride) = (run, 0, after[cut]);
        for (range, size) in ranges[..cut].iter().zip(after.iter()).rev() {
            row += (range.start + rest % range.len()) * stride;
            rest /= range.len();
            stride *= size;
        }
        let start = (row + ranges[cut].start) * inner;
        cover(before, start..start + ranges[cut].len() * inner, &mut Vec::new(), &mut boxes);
        if boxes.len() > MAX_BOXES {
            return None;
        }
    }
    Some(boxes)
}

/// Adds the boxes that a run of elements of `shape` is, each behind `outer`.
fn cover(
    shape: &[usize],
    run: Range<usize>,
    outer: &mut Vec<Range<usize>>,
    boxes: &mut Vec<Vec<Range<usize>>>,
) {
    if run.is_empty() {
        return;
    }
    let [_, rest @ ..] = shape else {
        boxes.push(outer.clone());
        return;
    };
    let inner = product(rest);
    let mut within = |row: usize, columns: Range<usize>| {
        outer.push(row..row + 1);
        cover(rest, columns, outer, boxes);
        outer.pop();
    };
    let (first, last) = (run.start / inner, run.end / inner);
    if first == last {
        return within(first, run.start % inner..run.end % inner);
    }
    let full = run.start.div_ceil(inner)..last;
    if !run.start.is_multiple_of(inner) {
        within(first, run.start % inner..inner);
    }
    within(last, 0..run.end % inner);
    if !full.is_empty() {
        let rows = rest.iter().map(|&size| 0..size);
        boxes.push(outer.iter().cloned().chain([full]).chain(rows).collect());
    }
}
