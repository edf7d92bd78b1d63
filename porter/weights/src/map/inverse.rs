//! From parameters back to checkpoint tensors.

use std::collections::BTreeMap;

use porter_ir::{DType, Shape};

use super::{Expr, ExprError, terms::permute};
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
        let mut sources = BTreeMap::new();
        self.invert(Expr::source(parameter), checkpoint, &mut sources)?;
        Ok(sources)
    }

    /// Adds to `sources` what they are if this expression's result is `result`.
    fn invert(
        &self,
        result: Expr,
        checkpoint: &dyn Checkpoint,
        sources: &mut BTreeMap<String, Expr>,
    ) -> Result<(), NoInverse> {
        if let Expr::Source(name) = self {
            sources.insert(name.clone(), result);
            return Ok(());
        }
        let types = self.inputs().iter().map(|e| e.infer(checkpoint)).collect::<Result<Vec<_>, _>>()?;
        let shapes: Vec<Shape> = types.iter().map(|input| input.shape.clone()).collect();
        let first = shapes.first().cloned().unwrap_or_default();
        let inputs = match self {
            Expr::Source(_) => Vec::new(),
            Expr::Cast { dtype, .. } => {
                let from = types.first().map_or(*dtype, |input| input.dtype);
                if !reversible(from, *dtype) {
                    return Err(NoInverse::Rounded { from, to: *dtype });
                }
                vec![result.cast(from)]
            }
            Expr::Permute { dims, .. } => vec![result.permute(permute::inverse(dims))],
            Expr::Reshape { .. } => vec![result.reshape(first)],
            Expr::Slice { .. } => {
                let to = self.shape(&shapes)?;
                if to != first {
                    return Err(NoInverse::Cut { from: first, to });
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
                return Err(NoInverse::Computed { term: self.term() });
            }
            Expr::Repeat { dim, times, .. } => vec![one_of_each(result, &first, *dim, *times)],
        };
        self.inputs().iter().zip(inputs).try_for_each(|(e, input)| e.invert(input, checkpoint, sources))
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
