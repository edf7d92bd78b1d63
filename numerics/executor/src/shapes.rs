//! Index arithmetic over row-major shapes.

/// The distance in elements between neighbours of each dimension.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    for i in (0..shape.len().saturating_sub(1)).rev() {
        // Of an empty shape the other sizes may be anything.
        strides[i] = strides[i + 1].saturating_mul(shape[i + 1]);
    }
    strides
}

/// The number of elements of a shape that is known to fit in memory.
pub(crate) fn count(shape: &[usize]) -> usize {
    if shape.contains(&0) { 0 } else { shape.iter().product() }
}

/// Every index of `shape` in row-major order.
pub(crate) struct Indices<'s> {
    shape: &'s [usize],
    index: Vec<usize>,
    left: usize,
}

impl<'s> Indices<'s> {
    pub(crate) fn of(shape: &'s [usize]) -> Self {
        Self { shape, index: vec![0; shape.len()], left: count(shape) }
    }

    /// The next index, borrowed until the one after it.
    pub(crate) fn next(&mut self) -> Option<&[usize]> {
        let first = self.left == count(self.shape);
        self.left = self.left.checked_sub(1)?;
        if !first {
            for (at, &size) in self.index.iter_mut().zip(self.shape).rev() {
                *at += 1;
                if *at < size {
                    break;
                }
                *at = 0;
            }
        }
        Some(&self.index)
    }
}

/// The position of `index` under `strides`.
pub(crate) fn position(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, stride)| i * stride).sum()
}

/// The dimensions below `rank` that are not in `without`, ascending.
pub(crate) fn others(rank: usize, without: &[usize]) -> Vec<usize> {
    (0..rank).filter(|dim| !without.contains(dim)).collect()
}

/// The order of dimensions that undoes `order`.
pub(crate) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (i, &dim) in order.iter().enumerate() {
        inverse[dim] = i;
    }
    inverse
}

/// The sizes of `dims`.
pub(crate) fn pick(shape: &[usize], dims: &[usize]) -> Vec<usize> {
    dims.iter().map(|&dim| shape[dim]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_count_up_in_row_major_order() {
        let mut indices = Indices::of(&[2, 2]);
        let mut seen = Vec::new();
        while let Some(index) = indices.next() {
            seen.push(index.to_vec());
        }
        assert_eq!(seen, [[0, 0], [0, 1], [1, 0], [1, 1]]);
        assert_eq!(Indices::of(&[]).next(), Some(&[][..]));
        assert_eq!(Indices::of(&[3, 0]).next(), None);
    }
}
