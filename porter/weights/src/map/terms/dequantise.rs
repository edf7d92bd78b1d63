//! A tensor that is stored in pieces, as numbers.

use porter_ir::{DType, TensorType};

use crate::{
    CastError, Encoding,
    convert::Cast,
    map::evaluate::Node,
    quantised::{Kernel, Pieces},
    read::Fault,
    scratch::Scratch,
};

/// Elements computed at a time.
const TILE: usize = 1024;
/// Bytes of a piece that are read ahead: scales and the like are asked for one by one.
const AHEAD_BYTES: usize = 4096;

/// A quantised tensor whose pieces are resolved, for results of one dtype.
pub(crate) struct Dequantised<'a> {
    kernel: Box<dyn Kernel>,
    /// The pieces, each in its own dtype.
    pieces: Vec<Node<'a>>,
    types: Vec<TensorType>,
    cast: Cast,
    bytes: usize,
}

impl<'a> Dequantised<'a> {
    pub(crate) fn new(
        kernel: Box<dyn Kernel>,
        pieces: Vec<Node<'a>>,
        types: Vec<TensorType>,
        to: DType,
    ) -> Result<Self, CastError> {
        let cast = Cast::new(&Encoding::Plain(DType::F32), to)?;
        Ok(Self { kernel, pieces, types, cast, bytes: to.host_bytes() })
    }

    /// Writes the elements from `start` on that `out` has room for.
    pub(crate) fn read(&self, start: usize, out: &mut [u8], scratch: &mut Scratch) -> Result<(), Fault> {
        let mut pieces = ReadAhead::new(&self.pieces, &self.types, scratch);
        let (mut numbers, mut stored) = ([0.0; TILE], [0; TILE * size_of::<f32>()]);
        for (i, out) in out.chunks_mut(TILE * self.bytes).enumerate() {
            let numbers = &mut numbers[..out.len() / self.bytes];
            self.kernel.read(&mut pieces, start + i * TILE, numbers)?;
            let stored = &mut stored[..size_of_val(numbers)];
            for (stored, number) in stored.as_chunks_mut().0.iter_mut().zip(numbers) {
                *stored = number.to_le_bytes();
            }
            self.cast.run(stored, out)?;
        }
        Ok(())
    }
}

/// Pieces of which some elements after those that were asked for are kept.
struct ReadAhead<'n, 'a> {
    pieces: &'n [Node<'a>],
    types: &'n [TensorType],
    scratch: &'n mut Scratch,
    kept: Vec<Kept>,
}

/// Elements of a piece, from `start` on.
#[derive(Clone, Default)]
struct Kept {
    start: usize,
    bytes: Vec<u8>,
}

impl<'n, 'a> ReadAhead<'n, 'a> {
    fn new(pieces: &'n [Node<'a>], types: &'n [TensorType], scratch: &'n mut Scratch) -> Self {
        Self { pieces, types, scratch, kept: vec![Kept::default(); pieces.len()] }
    }
}

impl Pieces for ReadAhead<'_, '_> {
    fn read(&mut self, piece: usize, start: usize, out: &mut [u8]) -> Result<(), Fault> {
        let ty = &self.types[piece];
        let element = ty.dtype.host_bytes();
        if out.len() >= AHEAD_BYTES {
            return self.pieces[piece].read(start, out, self.scratch);
        }
        let kept = &mut self.kept[piece];
        let found = |kept: &Kept| {
            let begin = start.checked_sub(kept.start)?.checked_mul(element)?;
            Some(begin..begin + out.len()).filter(|range| range.end <= kept.bytes.len())
        };
        if found(kept).is_none() {
            let count = (AHEAD_BYTES / element).min(ty.shape.elements().saturating_sub(start));
            kept.bytes.resize(count * element, 0);
            kept.start = start;
            self.pieces[piece].read(start, &mut kept.bytes, self.scratch)?;
        }
        let range = found(kept).unwrap_or_default();
        out.copy_from_slice(&kept.bytes[range]);
        Ok(())
    }
}
