//! `gather`: slices copied from computed places.

use porter_ir::ops::Gather;

use crate::{
    array::{Array, allocate},
    failure::Outcome,
    interpreter::Call,
    shapes::{Indices, count, others, pick, position, strides},
};

pub(super) fn execute(op: &Gather, mut call: Call<'_>) -> Outcome<Vec<Array>> {
    let [operand, indices] = call.operands()?;
    let result = call.result()?;
    let d = &op.dimensions;
    let vectors = Vectors::of(&indices, d.index_vector_dim);
    let left_out = [&d.collapsed_slice_dims[..], &d.operand_batching_dims].concat();
    let slice = pick(&op.slice_sizes, &others(operand.shape().rank(), &left_out));

    // The slices one after another, batch dimensions outermost.
    let gathered: Vec<usize> = [&vectors.batch[..], &slice].concat();
    let ty = porter_ir::TensorType::new(operand.dtype(), gathered.clone());
    let mut bytes = allocate(&ty)?;
    let operand = operand.contiguous();
    let (from, size) = (operand.as_bytes(), operand.dtype().host_bytes());
    let runs = Runs::of(operand.shape(), &op.slice_sizes);
    let run = runs.length * size;
    let mut slots = bytes.chunks_exact_mut(run.max(1));
    let steps = strides(operand.shape());
    let mut batch = Indices::of(&vectors.batch);
    while let Some(index) = batch.next() {
        let mut start = vec![0; operand.shape().rank()];
        for (entry, &dim) in vectors.at(index).into_iter().zip(&d.start_index_map) {
            let last = operand.shape()[dim].saturating_sub(op.slice_sizes[dim]) as i128;
            start[dim] = entry.clamp(0, last) as usize;
        }
        for (&dim, &of_indices) in d.operand_batching_dims.iter().zip(&d.start_indices_batching_dims) {
            start[dim] = index[vectors.batch_position(of_indices)];
        }
        let base = position(&start, &steps);
        for offset in &runs.offsets {
            let at = (base + offset) * size;
            let run = from.get(at..at + run).ok_or("a slice is not inside of the operand")?;
            if let Some(slot) = slots.next() {
                slot.copy_from_slice(run);
            }
        }
    }

    let mut order: Vec<usize> = Vec::with_capacity(gathered.len());
    let (mut next_batch, mut next_slice) = (0, vectors.batch.len());
    for dim in 0..gathered.len() {
        let next = if d.offset_dims.contains(&dim) { &mut next_slice } else { &mut next_batch };
        order.push(*next);
        *next += 1;
    }
    let gathered = Array::new(ty, bytes).permuted(&order);
    if gathered.shape() != &result.shape {
        return Err(format!("the slices make {}, expected {result}", gathered.ty()).into());
    }
    Ok(vec![gathered])
}

/// Index vectors, one for each index of the batch.
pub(super) struct Vectors {
    entries: Vec<i128>,
    /// The sizes of the dimensions that do not hold the vectors.
    pub(super) batch: Vec<usize>,
    dim: usize,
    strides: Vec<usize>,
    size: usize,
}

impl Vectors {
    pub(super) fn of(indices: &Array, dim: usize) -> Self {
        let shape = indices.shape();
        Self {
            entries: indices.integers(),
            batch: pick(shape, &others(shape.rank(), &[dim])),
            dim,
            strides: strides(shape),
            size: shape.get(dim).copied().unwrap_or(1),
        }
    }

    /// The vector at an index of the batch.
    pub(super) fn at(&self, batch: &[usize]) -> Vec<i128> {
        let mut index = batch.to_vec();
        if self.dim < self.strides.len() {
            index.insert(self.dim, 0);
        }
        let base = position(&index, &self.strides);
        let step = self.strides.get(self.dim).copied().unwrap_or(0);
        (0..self.size).map(|i| self.entries.get(base + i * step).copied().unwrap_or(0)).collect()
    }

    /// Where dimension `dim` of the indices is among those of the batch.
    pub(super) fn batch_position(&self, dim: usize) -> usize {
        if dim > self.dim { dim - 1 } else { dim }
    }
}

/// The stretches of memory that a slice consists of.
struct Runs {
    offsets: Vec<usize>,
    length: usize,
}

impl Runs {
    fn of(shape: &[usize], sizes: &[usize]) -> Self {
        // Trailing dimensions that are whole join into one stretch, with the first that is not.
        let mut split = sizes.len();
        let mut length = 1;
        while split > 0 {
            split -= 1;
            length *= sizes[split];
            if sizes[split] != shape[split] {
                break;
            }
        }
        let steps = strides(shape);
        let mut offsets = Vec::with_capacity(count(&sizes[..split]));
        let mut indices = Indices::of(&sizes[..split]);
        while let Some(index) = indices.next() {
            offsets.push(position(index, &steps));
        }
        Self { offsets, length }
    }
}
