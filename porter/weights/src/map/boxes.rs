//! Permuting a tensor box by box: the part of the input that a stretch of the result is made of is
//! read in runs that are as long as they can be, and put in order in memory.

use std::ops::Range;

use porter_ir::Shape;

use super::runs::strides;
use crate::{read::Fault, scratch::Scratch};

/// Gives elements of the input, from a given one on.
type ReadRun<'a> = dyn Fn(usize, &mut [u8], &mut Scratch) -> Result<(), Fault> + 'a;

/// A permutation whose runs are too short to be read one by one.
pub(crate) struct Boxes {
    /// Sizes of the result, outermost first.
    sizes: Vec<usize>,
    /// Elements between neighbours in the result.
    strides: Vec<usize>,
    /// Result dimension `i` is input dimension `dims[i]`.
    dims: Vec<usize>,
    input_sizes: Vec<usize>,
    input_strides: Vec<usize>,
    /// Bytes of an element.
    bytes: usize,
}

/// Elements on a side of the squares that are transposed at a time: 32 lines of the first cache each way.
const SIDE: usize = 32;

impl Boxes {
    pub(crate) fn new(input: &Shape, dims: &[usize], bytes: usize) -> Self {
        let sizes: Vec<usize> = dims.iter().map(|&dim| input[dim]).collect();
        Self {
            strides: strides(&Shape::from(sizes.clone())),
            sizes,
            dims: dims.to_vec(),
            input_sizes: input.to_vec(),
            input_strides: strides(input),
            bytes,
        }
    }

    /// Writes the elements of the result from `start` on that `out` has room for. `read` gives the
    /// input's elements from a given one on.
    pub(crate) fn read(
        &self,
        start: usize,
        out: &mut [u8],
        scratch: &mut Scratch,
        read: &ReadRun<'_>,
    ) -> Result<(), Fault> {
        let (mut position, mut rest) = (start, out);
        while !rest.is_empty() {
            let ranges = self.largest_box(position, rest.len() / self.bytes);
            let elements: usize = ranges.iter().map(Range::len).product();
            let (now, later) = rest.split_at_mut(elements * self.bytes);
            self.read_box(&ranges, now, scratch, read)?;
            position += elements;
            rest = later;
        }
        Ok(())
    }

    /// The largest box that begins at `position` and is one stretch of at most `limit` elements of
    /// the result: a range of one dimension, one index of each before it, all of each after it.
    fn largest_box(&self, position: usize, limit: usize) -> Vec<Range<usize>> {
        let index = |d: usize| position / self.strides[d] % self.sizes[d];
        let fits = |d: usize| position.is_multiple_of(self.strides[d]) && self.strides[d] <= limit;
        let split = (0..self.sizes.len()).find(|&d| fits(d)).unwrap_or(self.sizes.len().saturating_sub(1));
        let ranges = (0..self.sizes.len()).map(|d| match d.cmp(&split) {
            std::cmp::Ordering::Less => index(d)..index(d) + 1,
            std::cmp::Ordering::Equal => {
                index(d)..(index(d) + (limit / self.strides[d]).max(1)).min(self.sizes[d])
            }
            std::cmp::Ordering::Greater => 0..self.sizes[d],
        });
        ranges.collect()
    }

    fn read_box(
        &self,
        ranges: &[Range<usize>],
        out: &mut [u8],
        scratch: &mut Scratch,
        read: &ReadRun<'_>,
    ) -> Result<(), Fault> {
        let mut input_ranges = vec![0..0; ranges.len()];
        for (range, &dim) in ranges.iter().zip(&self.dims) {
            input_ranges[dim] = range.clone();
        }
        let mut buffer = scratch.take(out.len());
        let gathered = self.gather(&input_ranges, &mut buffer[..out.len()], scratch, read);
        if gathered.is_ok() {
            self.put_in_order(&input_ranges, &buffer[..out.len()], out);
        }
        scratch.give(buffer);
        gathered
    }

    /// Reads a box of the input, run by run.
    fn gather(
        &self,
        ranges: &[Range<usize>],
        out: &mut [u8],
        scratch: &mut Scratch,
        read: &ReadRun<'_>,
    ) -> Result<(), Fault> {
        // The last dimension that is not whole, and all after it, are one run.
        let partial = |d: &usize| ranges[*d].len() != self.input_sizes[*d];
        let first = (0..ranges.len()).rev().find(partial).unwrap_or(0);
        let run: usize = ranges.iter().skip(first).map(Range::len).product();
        let outer = &ranges[..first];
        for (i, out) in out.chunks_mut((run * self.bytes).max(1)).enumerate() {
            let mut rest = i;
            let mut start = ranges.get(first).map_or(0, |range| range.start * self.input_strides[first]);
            for (range, stride) in outer.iter().zip(&self.input_strides).rev() {
                start += (range.start + rest % range.len()) * stride;
                rest /= range.len();
            }
            read(start, out, scratch)?;
        }
        Ok(())
    }

    /// Writes the box `from`, which lies in the input's order, to `out` in the result's.
    fn put_in_order(&self, input_ranges: &[Range<usize>], from: &[u8], out: &mut [u8]) {
        let lens: Vec<usize> = input_ranges.iter().map(Range::len).collect();
        let from_strides = strides(&Shape::from(lens.clone()));
        let dims = self.dims.iter().map(|&dim| Dim { size: lens[dim], from: from_strides[dim] });
        let dims = merge(dims.filter(|dim| dim.size != 1).collect());
        match self.bytes {
            1 => permute::<1>(&dims, from, out),
            2 => permute::<2>(&dims, from, out),
            4 => permute::<4>(&dims, from, out),
            _ => permute::<8>(&dims, from, out),
        }
    }
}

/// A dimension of the result, and the elements between its neighbours in what it is made from.
#[derive(Clone, Copy)]
struct Dim {
    size: usize,
    from: usize,
}

/// Neighbours that are neighbours in the input too are one dimension.
fn merge(dims: Vec<Dim>) -> Vec<Dim> {
    let mut merged: Vec<Dim> = Vec::with_capacity(dims.len());
    for dim in dims {
        match merged.last_mut() {
            Some(last) if last.from == dim.from * dim.size => {
                *last = Dim { size: last.size * dim.size, from: dim.from };
            }
            _ => merged.push(dim),
        }
    }
    merged
}

fn permute<const N: usize>(dims: &[Dim], from: &[u8], out: &mut [u8]) {
    let (from, out) = (from.as_chunks::<N>().0, out.as_chunks_mut::<N>().0);
    let Some((&last, outer)) = dims.split_last() else {
        out.copy_from_slice(from);
        return;
    };
    if last.from == 1 {
        for (i, out) in out.chunks_mut(last.size).enumerate() {
            out.copy_from_slice(&from[offset(i, outer)..][..last.size]);
        }
        return;
    }
    // The dimension that is dense in the input, and `last`, which is dense in the result, span
    // squares; all others are looped over.
    let Some(dense) = outer.iter().position(|dim| dim.from == 1) else { return };
    let out_stride: usize = dims[dense + 1..].iter().map(|dim| dim.size).product();
    let block = out_stride * outer[dense].size;
    let between = &outer[dense + 1..];
    let plane = Plane { columns: last, rows: outer[dense].size, out_stride };
    for (i, out) in out.chunks_mut(block).enumerate() {
        let base = offset(i, &outer[..dense]);
        for j in 0..between.iter().map(|dim| dim.size).product() {
            plane.transpose(&from[base + offset(j, between)..], &mut out[j * last.size..]);
        }
    }
}

/// Where index `i` of the dimensions `dims` lies in the input.
fn offset(i: usize, dims: &[Dim]) -> usize {
    let mut rest = i;
    let steps = dims.iter().rev().map(|dim| {
        let index = rest % dim.size;
        rest /= dim.size;
        index * dim.from
    });
    steps.sum()
}

/// Two dimensions of which one is dense in the input and the other in the result.
struct Plane {
    columns: Dim,
    rows: usize,
    out_stride: usize,
}

impl Plane {
    fn transpose<const N: usize>(&self, from: &[[u8; N]], out: &mut [[u8; N]]) {
        for row in (0..self.rows).step_by(SIDE) {
            let rows = SIDE.min(self.rows - row);
            for column in (0..self.columns.size).step_by(SIDE) {
                let columns = SIDE.min(self.columns.size - column);
                for r in row..row + rows {
                    let out = &mut out[r * self.out_stride + column..][..columns];
                    for (c, out) in out.iter_mut().enumerate() {
                        *out = from[(column + c) * self.columns.from + r];
                    }
                }
            }
        }
    }
}
