//! Cutting an array into chunks of bounded size, so that each is read from its source in long runs.

use std::ops::Range;

use porter_ir::DType;

use crate::{Checkpoint, Expr, ExprError};

/// A grid of chunks over one or several arrays of one shape.
pub(super) enum Chunking {
    /// Chunks are runs of the row-major array.
    Runs(Runs),
    /// Chunks are all of the array but some indices of one dimension, along which the source's rows lie.
    Rows(Rows),
}

/// One chunk.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Its index in the grid.
    pub(super) index: Vec<usize>,
    /// Which of [`Chunking::tensors`] it is of.
    pub(super) tensor: usize,
    /// Its elements of that tensor.
    pub(super) range: Range<usize>,
    /// How many elements it lacks.
    pub(super) missing: usize,
}

impl Chunking {
    /// A grid over `parts`, each an array of `shape`, with chunks of at most `max_bytes`, or of one row.
    pub(super) fn new(
        parts: &[Expr],
        shape: &[usize],
        dtype: DType,
        checkpoint: &dyn Checkpoint,
        max_bytes: usize,
    ) -> Result<Self, ExprError> {
        let bytes = shape.iter().fold(dtype.host_bytes(), |bytes, &size| bytes.saturating_mul(size));
        if bytes > max_bytes
            && let Some(dim) = row_dim(parts, checkpoint)?.filter(|dim| *dim > 0)
            && let Some(rows) = Rows::new(shape, dim, bytes, max_bytes)
        {
            return Ok(Chunking::Rows(rows));
        }
        Ok(Chunking::Runs(Runs::new(shape, dtype.host_bytes(), max_bytes)))
    }

    /// The shape of a chunk.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Chunking::Runs(runs) => runs.shape(),
            Chunking::Rows(rows) => rows.chunk_shape(),
        }
    }

    /// What the chunks of the array `part` are parts of, with shapes.
    pub(super) fn tensors(
        &self,
        part: &Expr,
        checkpoint: &dyn Checkpoint,
    ) -> Result<Vec<(Expr, Vec<usize>)>, ExprError> {
        match self {
            Chunking::Runs(runs) => Ok(vec![(part.clone(), runs.whole.clone())]),
            Chunking::Rows(rows) => {
                let narrowed = rows.ranges().map(|range| part.narrow(rows.dim, range, checkpoint));
                narrowed.map(|expr| Ok((expr?, rows.chunk_shape()))).collect()
            }
        }
    }

    /// Every chunk.
    pub(super) fn chunks(&self) -> Vec<Chunk> {
        match self {
            Chunking::Runs(runs) => runs.chunks().collect(),
            Chunking::Rows(rows) => rows.chunks().collect(),
        }
    }
}

/// The dimension along which the rows of the sources of all `parts` lie.
fn row_dim(parts: &[Expr], checkpoint: &dyn Checkpoint) -> Result<Option<usize>, ExprError> {
    let dims = parts.iter().map(|part| part.row_dim(checkpoint)).collect::<Result<Vec<_>, _>>()?;
    Ok(dims.first().copied().flatten().filter(|dim| dims.iter().all(|other| *other == Some(*dim))))
}

/// Chunks of `count` indices of dimension `dim`.
pub(super) struct Rows {
    whole: Vec<usize>,
    dim: usize,
    count: usize,
}

/// Chunks may be smaller than they could be by this, so that all are alike.
const MOST_CHUNKS: usize = 4;

impl Rows {
    /// The fewest chunks of at most `max_bytes` that are alike; `None` where that are many more than are
    /// needed.
    fn new(shape: &[usize], dim: usize, bytes: usize, max_bytes: usize) -> Option<Self> {
        let size = *shape.get(dim)?;
        let needed = bytes.div_ceil(max_bytes);
        let chunks =
            (needed..=needed.saturating_mul(MOST_CHUNKS).min(size)).find(|n| size.is_multiple_of(*n))?;
        Some(Self { whole: shape.to_vec(), dim, count: size / chunks })
    }

    fn chunk_shape(&self) -> Vec<usize> {
        let mut shape = self.whole.clone();
        shape[self.dim] = self.count;
        shape
    }

    fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        (0..self.whole[self.dim]).step_by(self.count).map(|first| first..first + self.count)
    }

    fn chunks(&self) -> impl Iterator<Item = Chunk> + '_ {
        self.ranges().enumerate().map(|(tensor, _)| {
            let mut index = vec![0; self.whole.len()];
            index[self.dim] = tensor;
            Chunk { index, tensor, range: 0..self.chunk_shape().iter().product(), missing: 0 }
        })
    }
}

/// Chunks of one index of the outer dimensions, some rows of the next one, all of the inner ones.
pub(super) struct Runs {
    whole: Vec<usize>,
    outer: Vec<usize>,
    rows: usize,
    /// Rows of a chunk. They are spread evenly, so that the last chunk lacks few.
    chunk_rows: usize,
    inner: Vec<usize>,
}

impl Runs {
    fn new(shape: &[usize], element_bytes: usize, max_bytes: usize) -> Self {
        let row_bytes = |dim: usize| {
            shape.iter().skip(dim + 1).fold(element_bytes, |bytes, &size| bytes.saturating_mul(size)).max(1)
        };
        let last = shape.len().saturating_sub(1);
        let dim = (0..last).find(|&dim| row_bytes(dim) <= max_bytes).unwrap_or(last);
        let rows = shape.get(dim).copied().unwrap_or(1);
        let most = (max_bytes / row_bytes(dim)).max(1);
        let chunk_rows = rows.div_ceil(rows.div_ceil(most).max(1)).max(1);
        let (outer, inner) = (shape[..dim].to_vec(), shape.get(dim + 1..).unwrap_or_default().to_vec());
        Self { whole: shape.to_vec(), outer, rows, chunk_rows, inner }
    }

    fn shape(&self) -> Vec<usize> {
        let inner = self.inner.iter().map(|&size| size.max(1));
        self.outer.iter().map(|_| 1).chain([self.chunk_rows]).chain(inner).collect()
    }

    fn chunks(&self) -> impl Iterator<Item = Chunk> + '_ {
        let row: usize = self.inner.iter().product();
        let outer: usize = self.outer.iter().product();
        let firsts = (0..if row == 0 { 0 } else { outer })
            .flat_map(move |at| (0..self.rows).step_by(self.chunk_rows).map(move |first| (at, first)));
        firsts.map(move |(at, first)| {
            let end = (first + self.chunk_rows).min(self.rows);
            let mut index = index_of(at, &self.outer);
            index.push(first / self.chunk_rows);
            index.extend(self.inner.iter().map(|_| 0));
            let base = at * self.rows;
            let missing = (first + self.chunk_rows - end) * row;
            Chunk { index, tensor: 0, range: (base + first) * row..(base + end) * row, missing }
        })
    }
}

/// The index of element `position` of a row-major array of `sizes`.
fn index_of(mut position: usize, sizes: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = Vec::with_capacity(sizes.len());
    for size in sizes.iter().rev() {
        index.push(position % size);
        position /= size;
    }
    index.reverse();
    index
}
