//! From parameters back to checkpoint tensors.

use std::{collections::BTreeMap, ops::Range};

use porter_ir::{DType, Shape, TensorType};

use super::{
    Expr, ExprError, Parameter, WeightMap,
    terms::{permute, scale},
};
use crate::{Checkpoint, convert::reversible};

/// Why an expression has no inverse.
#[derive(Debug, thiserror::Error)]
pub enum NoInverse {
    /// The expression does not fit the checkpoint.
    #[error(transparent)]
    Unfit(#[from] ExprError),
    /// A cast that rounds.
    #[error("casting {from} to {to} rounds, so the values before it are lost")]
    Rounded {
        /// The dtype before the cast.
        from: DType,
        /// The dtype after it.
        to: DType,
    },
    /// A scale that rounds.
    #[error("multiplying {from} by {factor} rounds, so the values before it are lost")]
    Scaled {
        /// The dtype before.
        from: DType,
        /// The factor.
        factor: f32,
    },
    /// A slice that leaves elements out.
    #[error("slicing {from} to {to} leaves elements out")]
    Cut {
        /// The shape before the slice.
        from: Shape,
        /// The shape after it.
        to: Shape,
    },
    /// A term that computes numbers.
    #[error("{term} rounds, so what it was computed from is lost")]
    Computed {
        /// The term.
        term: &'static str,
    },
}

impl Expr {
    /// Each source of this as an expression over a checkpoint that holds this expression's result
    /// as the tensor `parameter`. A block-quantised source comes back as its `f32` values. A source
    /// that stands several times is taken from one of its places.
    pub fn inverse(
        &self,
        parameter: &str,
        checkpoint: &dyn Checkpoint,
    ) -> Result<BTreeMap<String, Expr>, NoInverse> {
        let mut inversion = Inversion::new(checkpoint);
        inversion.invert(self, Expr::source(parameter))?;
        match inversion.join_slices().pop() {
            Some((_, why)) => Err(why),
            None => Ok(inversion.sources),
        }
    }
}

/// What a map's sources are in terms of its results.
#[derive(Debug, Default)]
pub struct Inverse {
    /// By source, an expression over a checkpoint that holds the results under the parameters' names.
    pub sources: BTreeMap<String, Expr>,
    /// Sources that the results do not give back, and why.
    pub lost: BTreeMap<String, String>,
}

impl WeightMap {
    /// Each source as an expression over a checkpoint that holds every parameter, stored as `dtype` says of its
    /// name and inferred type. Slices of one tensor, in whichever parameters they stand, are joined again.
    pub fn inverse(
        &self,
        checkpoint: &dyn Checkpoint,
        dtype: impl Fn(&str, &TensorType) -> DType,
    ) -> Result<Inverse, ExprError> {
        let mut inversion = Inversion::new(checkpoint);
        let mut failed = Vec::new();
        for (name, parameter) in self.parameters() {
            let Parameter::Computed { expr, .. } = parameter else { continue };
            let ty = expr.infer(checkpoint)?;
            let stored = dtype(name, &ty);
            let whole = if stored == ty.dtype { expr.clone() } else { expr.clone().cast(stored) };
            if let Err(why) = inversion.invert(&whole, Expr::source(name)) {
                failed.push((whole, why));
            }
        }
        failed.extend(inversion.join_slices());
        let sources = inversion.sources;
        let mut lost = BTreeMap::new();
        for (expr, why) in &failed {
            for source in expr.sources().into_iter().filter(|source| !sources.contains_key(*source)) {
                lost.entry(source.to_owned()).or_insert_with(|| why.to_string());
            }
        }
        Ok(Inverse { sources, lost })
    }
}

/// Going back from results to sources.
struct Inversion<'a> {
    checkpoint: &'a dyn Checkpoint,
    sources: BTreeMap<String, Expr>,
    /// Terms of which slices are known, by how they are written.
    slices: BTreeMap<String, Slices>,
}

/// What is known of a term.
struct Slices {
    of: Expr,
    /// Boxes of it, and what they are.
    known: Vec<(Vec<Range<usize>>, Expr)>,
}

impl<'a> Inversion<'a> {
    fn new(checkpoint: &'a dyn Checkpoint) -> Self {
        Self { checkpoint, sources: BTreeMap::new(), slices: BTreeMap::new() }
    }

    /// Notes what the sources of `expr` are if its value is `result`.
    fn invert(&mut self, expr: &Expr, result: Expr) -> Result<(), NoInverse> {
        if let Expr::Source(name) = expr {
            self.sources.entry(name.clone()).or_insert(result);
            return Ok(());
        }
        let types = expr.inputs().iter().map(|e| e.infer(self.checkpoint)).collect::<Result<Vec<_>, _>>()?;
        let shapes: Vec<Shape> = types.iter().map(|input| input.shape.clone()).collect();
        let first = shapes.first().cloned().unwrap_or_default();
        let inputs = match expr {
            Expr::Source(_) => Vec::new(),
            Expr::Cast { dtype, .. } => {
                let from = types.first().map_or(*dtype, |input| input.dtype);
                if !reversible(from, *dtype) {
                    return Err(NoInverse::Rounded { from, to: *dtype });
                }
                vec![result.cast(from)]
            }
            Expr::Scale { factor, .. } => {
                let from = types.first().map_or(DType::F32, |input| input.dtype);
                let back =
                    scale::inverse(from, *factor).ok_or(NoInverse::Scaled { from, factor: *factor })?;
                vec![result.scale(back).cast(from)]
            }
            Expr::Permute { dims, .. } => vec![result.permute(permute::inverse(dims))],
            Expr::Reshape { .. } => vec![result.reshape(first)],
            Expr::Slice { input, ranges } => {
                if expr.shape(&shapes)? != first {
                    self.know(input, ranges, result);
                    return Ok(());
                }
                vec![result]
            }
            Expr::Concat { dim, .. } => parts(&result, &shapes, *dim),
            Expr::Stack { .. } => {
                let slices = (0..shapes.len()).map(|i| {
                    let ranges: Vec<_> =
                        std::iter::once(i..i + 1).chain(first.iter().map(|&size| 0..size)).collect();
                    result.clone().slice(ranges).reshape(first.clone())
                });
                slices.collect()
            }
            Expr::Pad { padding, .. } => {
                let inner = first.iter().zip(padding).map(|(&size, &(low, _))| low..low + size);
                vec![result.slice(inner.collect::<Vec<_>>())]
            }
            Expr::Dequantise { .. } | Expr::Quantise { .. } => {
                return Err(NoInverse::Computed { term: expr.term() });
            }
            Expr::Repeat { dim, times, .. } => vec![one_of_each(result, &first, *dim, *times)],
        };
        expr.inputs().iter().zip(inputs).try_for_each(|(input, result)| self.invert(input, result))
    }

    fn know(&mut self, of: &Expr, ranges: &[Range<usize>], is: Expr) {
        let slices = self.slices.entry(format!("{of:?}"));
        let slices = slices.or_insert_with(|| Slices { of: of.clone(), known: Vec::new() });
        if !slices.known.iter().any(|(known, _)| known == ranges) {
            slices.known.push((ranges.to_vec(), is));
        }
    }

    /// Goes on from terms of which all slices are known, as long as there are any; gives the terms that it
    /// cannot go on from, and why.
    fn join_slices(&mut self) -> Vec<(Expr, NoInverse)> {
        let mut failed = Vec::new();
        while let Some((key, joined)) = self.slices.iter().find_map(|(key, slices)| {
            let shape = slices.of.infer(self.checkpoint).ok()?.shape;
            Some((key.clone(), slices.joined(&shape)?))
        }) {
            let Some(slices) = self.slices.remove(&key) else { break };
            if let Err(why) = self.invert(&slices.of, joined) {
                failed.push((slices.of, why));
            }
        }
        let cut = std::mem::take(&mut self.slices).into_values().map(|slices| {
            let from = slices.of.infer(self.checkpoint).map(|ty| ty.shape).unwrap_or_default();
            let known = slices.known.first().map(|(ranges, _)| ranges.iter().map(Range::len).collect());
            let to: Vec<usize> = known.unwrap_or_default();
            (slices.of, NoInverse::Cut { from, to: to.into() })
        });
        failed.extend(cut);
        failed
    }
}

impl Slices {
    /// The term, if the slices follow one another along one dimension and are all of it.
    fn joined(&self, shape: &Shape) -> Option<Expr> {
        let whole: Vec<_> = shape.iter().map(|&size| 0..size).collect();
        let dim =
            (0..shape.rank()).find(|&dim| self.known.iter().any(|(box_, _)| box_[dim] != whole[dim]))?;
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_by_key(|(box_, _)| box_[dim].start);
        let mut end = 0;
        for (box_, _) in &known {
            let others = box_.iter().zip(&whole).enumerate().all(|(i, (own, all))| i == dim || own == all);
            if !others || box_[dim].start != end {
                return None;
            }
            end = box_[dim].end;
        }
        let parts = known.into_iter().map(|(_, expr)| expr.clone()).collect::<Vec<_>>();
        (end == shape[dim]).then(|| Expr::concat(parts, dim))
    }
}

/// The parts of `whole`, which is tensors of `shapes` joined along `dim`.
fn parts(whole: &Expr, shapes: &[Shape], dim: usize) -> Vec<Expr> {
    let mut begin = 0;
    let parts = shapes.iter().map(|shape| {
        let mut ranges: Vec<_> = shape.iter().map(|&size| 0..size).collect();
        if let Some(range) = ranges.get_mut(dim) {
            *range = begin..begin + range.end;
            begin = range.end;
        }
        whole.clone().slice(ranges)
    });
    parts.collect()
}

/// The first of each `times` equal slices of `dim`.
fn one_of_each(repeated: Expr, input: &Shape, dim: usize, times: usize) -> Expr {
    let mut apart = input.to_vec();
    apart.insert(dim + 1, times);
    let mut ranges: Vec<_> = apart.iter().map(|&size| 0..size).collect();
    ranges[dim + 1] = 0..1;
    repeated.reshape(apart).slice(ranges).reshape(input.clone())
}
