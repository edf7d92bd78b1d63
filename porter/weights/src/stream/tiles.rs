//! Cutting a file into tiles, each small enough to be in memory.

use std::ops::Range;

use super::pipeline::permutations;
use crate::{
    stored::Unit,
    write::{Layout, OutputFile, OutputTensor, Piece},
};

/// The most bytes of a tile whose elements come in the order of their source: it stays in a core's cache from
/// the read to the write.
const IN_ORDER: usize = 1 << 20;

/// A stretch of a file: its slots one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tile<'a> {
    pub(super) slots: Vec<Slot<'a>>,
    pub(super) bytes: usize,
}

/// A part of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot<'a> {
    Bytes(&'a [u8]),
    Elements { tensor: usize, range: Range<usize>, bytes: usize },
}

impl<'a> Tile<'a> {
    fn push(&mut self, slot: Slot<'a>) {
        self.bytes += match &slot {
            Slot::Bytes(bytes) => bytes.len(),
            Slot::Elements { bytes, .. } => *bytes,
        };
        self.slots.push(slot);
    }
}

/// A tile, and the file that it is of.
#[derive(Debug)]
pub(super) struct Stretch<'a> {
    /// The file's place among the files.
    pub(super) file: usize,
    pub(super) tile: Tile<'a>,
}

/// The tiles of all `files`, one file after another, the first from byte `from` on. Every file has at least
/// one, which may be empty. Files are cut when they are reached.
pub(super) fn of_files<'a>(
    layout: &'a Layout,
    files: &'a [&'a OutputFile],
    from: u64,
    limit: usize,
) -> impl Iterator<Item = Stretch<'a>> + Send {
    files.iter().enumerate().flat_map(move |(index, file)| {
        let from = if index == 0 { from } else { 0 };
        let mut tiles = cut(layout, file, from, limit).unwrap_or_default();
        if tiles.is_empty() {
            tiles.push(Tile::default());
        }
        tiles.into_iter().map(move |tile| Stretch { file: index, tile })
    })
}

/// The tiles of `file` from byte `from` on, each of at most `limit` bytes, or of one unit. `None` if a
/// unit of elements would be split at `from`.
pub(super) fn cut<'a>(
    layout: &'a Layout,
    file: &'a OutputFile,
    from: u64,
    limit: usize,
) -> Option<Vec<Tile<'a>>> {
    let mut tiles = Tiles { done: Vec::new(), current: Tile::default(), limit };
    let mut skip = usize::try_from(from).ok()?;
    for piece in &file.pieces {
        match piece {
            Piece::Bytes(bytes) => {
                let left = &bytes[skip.min(bytes.len())..];
                skip = skip.saturating_sub(bytes.len());
                left.chunks(limit).for_each(|bytes| tiles.add(Slot::Bytes(bytes), bytes.len(), limit));
            }
            Piece::Elements { tensor: index, range } => {
                let tensor = layout.tensors.get(*index)?;
                let unit = tensor.encoding.unit()?;
                let bytes = tensor.bytes_of(range).ok()?;
                let skipped = skip.min(bytes);
                skip -= skipped;
                if !skipped.is_multiple_of(unit.bytes) {
                    return None;
                }
                let start = range.start + skipped / unit.bytes * unit.elements;
                tiles.add_elements(*index, tensor, unit, start..range.end);
            }
        }
    }
    Some(tiles.finish())
}

struct Tiles<'a> {
    done: Vec<Tile<'a>>,
    current: Tile<'a>,
    limit: usize,
}

impl<'a> Tiles<'a> {
    fn add(&mut self, slot: Slot<'a>, bytes: usize, limit: usize) {
        if self.current.bytes > 0 && self.current.bytes + bytes > limit {
            self.close();
        }
        if bytes > 0 {
            self.current.push(slot);
        }
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.current));
    }

    fn add_elements(&mut self, index: usize, tensor: &OutputTensor, unit: Unit, range: Range<usize>) {
        let in_order = permutations(&tensor.expr) == 0;
        let limit = if in_order { self.limit.min(IN_ORDER) } else { self.limit };
        let most = rows(tensor, unit, limit);
        let mut start = range.start;
        while start < range.end {
            // Up to the next whole number of rows, so that tiles stay boxes after a resumption too.
            let end = ((start / most + 1) * most).min(range.end);
            let bytes = (end - start) / unit.elements * unit.bytes;
            self.add(Slot::Elements { tensor: index, range: start..end, bytes }, bytes, limit);
            start = end;
        }
    }

    fn finish(mut self) -> Vec<Tile<'a>> {
        if self.current.bytes > 0 {
            self.close();
        }
        self.done
    }
}

/// The most elements that fit into `limit` bytes and are whole rows, or whole matrices, of whole units.
fn rows(tensor: &OutputTensor, unit: Unit, limit: usize) -> usize {
    let most = (limit / unit.bytes * unit.elements).max(unit.elements);
    let mut stride = 1_usize;
    let mut largest = unit.elements;
    for size in tensor.shape.iter().rev() {
        stride = stride.saturating_mul(*size);
        if stride == 0 || stride > most {
            break;
        }
        if stride.is_multiple_of(unit.elements) {
            largest = stride;
        }
    }
    most / largest * largest
}

#[cfg(test)]
mod tests {
    use porter_ir::DType;
    use proptest::prelude::*;

    use super::*;
    use crate::{Encoding, Expr, GgmlType};

    fn layout(shape: &[usize], encoding: Encoding) -> Layout {
        let tensor =
            OutputTensor { name: "t".into(), expr: Expr::source("t"), shape: shape.into(), encoding };
        let range = 0..tensor.shape.elements();
        let pieces =
            vec![Piece::Bytes(vec![7; 10]), Piece::Elements { tensor: 0, range }, Piece::Bytes(vec![])];
        Layout {
            tensors: vec![tensor],
            files: vec![OutputFile { path: "f".into(), pieces }],
            closing: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn tiles_are_the_file_from_any_unit_on(
            shape in prop::collection::vec(1_usize..9, 0..4),
            blocks in any::<bool>(),
            limit in 1_usize..200,
            units in 0_usize..20,
        ) {
            let (shape, encoding) = if blocks {
                ([&shape[..], &[64]].concat(), Encoding::Block(GgmlType::Q8_0))
            } else {
                (shape, Encoding::Plain(DType::F32))
            };
            let layout = layout(&shape, encoding);
            let unit = layout.tensors[0].encoding.unit().unwrap();
            let total = layout.file_bytes(&layout.files[0]).unwrap();
            let from = (10 + units * unit.bytes) as u64;
            prop_assume!(from <= total);
            let tiles = cut(&layout, &layout.files[0], from, limit).unwrap();
            prop_assert_eq!(tiles.iter().map(|tile| tile.bytes as u64).sum::<u64>(), total - from);
            let mut next = units * unit.elements;
            for tile in &tiles {
                prop_assert!(tile.bytes > 0 && (tile.bytes <= limit || tile.bytes == unit.bytes));
                for slot in &tile.slots {
                    let Slot::Elements { range, .. } = slot else { continue };
                    prop_assert_eq!(range.start, next);
                    next = range.end;
                }
            }
            prop_assert_eq!(next, layout.tensors[0].shape.elements());
        }
    }

    #[test]
    fn tiles_are_whole_rows() {
        let layout = layout(&[100, 10], Encoding::Plain(DType::F32));
        let tiles = cut(&layout, &layout.files[0], 10, 100).unwrap();
        assert!(tiles.iter().all(|tile| tile.bytes == 80));
        assert_eq!(cut(&layout, &layout.files[0], 11, 100), None);
    }
}
