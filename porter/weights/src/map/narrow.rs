//! Slices of results as slices of sources.

use std::ops::Range;

use porter_ir::Shape;

use super::{Expr, ExprError};
use crate::Checkpoint;

impl Expr {
    /// The dimension of the result along which one source's rows lie: indices of it are runs of what is
    /// stored. `None` where there is no such dimension.
    pub fn row_dim(&self, checkpoint: &dyn Checkpoint) -> Result<Option<usize>, ExprError> {
        Ok(match self {
            Expr::Source(_) => Some(0),
            Expr::Cast { input, .. } | Expr::Scale { input, .. } => input.row_dim(checkpoint)?,
            Expr::Permute { input, dims } => {
                let row = input.row_dim(checkpoint)?;
                row.and_then(|row| dims.iter().position(|dim| *dim == row))
            }
            Expr::Reshape { input, shape } => {
                let from = input.infer(checkpoint)?.shape;
                let row = input.row_dim(checkpoint)?;
                row.and_then(|row| (0..shape.rank()).find(|&dim| splits(&from, shape, dim) == Some(row)))
            }
            _ => None,
        })
    }

    /// The indices `range` of dimension `dim` of the result. Where terms let it, only the part of the
    /// source that they come from is read.
    pub fn narrow(
        &self,
        dim: usize,
        range: Range<usize>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Expr, ExprError> {
        match self {
            Expr::Cast { input, dtype } => Ok(input.narrow(dim, range, checkpoint)?.cast(*dtype)),
            Expr::Scale { input, factor } => Ok(input.narrow(dim, range, checkpoint)?.scale(*factor)),
            Expr::Permute { input, dims } if dim < dims.len() => {
                Ok(input.narrow(dims[dim], range, checkpoint)?.permute(dims.clone()))
            }
            Expr::Reshape { input, shape } => {
                let from = input.infer(checkpoint)?.shape;
                let Some(inner) = splits(&from, shape, dim) else {
                    return self.sliced(dim, range, checkpoint);
                };
                let times = from[inner] / shape[dim];
                let mut to = shape.to_vec();
                to[dim] = range.len();
                let range = range.start * times..range.end * times;
                Ok(input.narrow(inner, range, checkpoint)?.reshape(to))
            }
            _ => self.sliced(dim, range, checkpoint),
        }
    }

    fn sliced(
        &self,
        dim: usize,
        range: Range<usize>,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Expr, ExprError> {
        let shape = self.infer(checkpoint)?.shape;
        let all = shape.iter().enumerate().map(|(at, &size)| if at == dim { range.clone() } else { 0..size });
        let sliced = self.clone().slice(all.collect::<Vec<_>>());
        sliced.infer(checkpoint)?;
        Ok(sliced)
    }
}

/// The dimension of `from` of which dimension `dim` of `to` is the outermost part, where `to` has the same
/// elements.
fn splits(from: &Shape, to: &Shape, dim: usize) -> Option<usize> {
    let outer: usize = to.iter().take(dim).product();
    let size = to.get(dim).filter(|size| **size > 0)?;
    let mut before = 1;
    for (at, from) in from.iter().enumerate() {
        if before == outer && from % size == 0 && (*from != 1 || *size == 1) {
            return Some(at);
        }
        before *= from;
    }
    None
}
