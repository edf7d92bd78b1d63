//! Reading a tensor's elements as numbers.

use std::borrow::Cow;

use porter_ir::DType;
use rayon::prelude::*;

use crate::{
    CastError, Encoding, TensorView,
    convert::{Cast, OutOfRange},
    map::ExprError,
    stored::Unit,
};

/// A tensor's elements as a dtype, any run of them at a time.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    stored: Cow<'a, [u8]>,
    cast: Cast,
    to_bytes: usize,
}

/// The most bytes that one unit of elements takes in any dtype: 256 elements of 8 bytes.
const UNIT_BYTES: usize = 256 * 8;

impl<'a> Reader<'a> {
    pub(crate) fn new(stored: Cow<'a, [u8]>, encoding: &Encoding, to: DType) -> Result<Self, CastError> {
        Ok(Self { stored, cast: Cast::new(encoding, to)?, to_bytes: to.host_bytes() })
    }

    /// Writes the elements from `start` on that `out` has room for. The run must lie in the tensor.
    pub(crate) fn read(&self, start: usize, out: &mut [u8]) -> Result<(), OutOfRange> {
        let Unit { elements, .. } = self.cast.unit;
        let count = out.len() / self.to_bytes;
        let head = (start.next_multiple_of(elements) - start).min(count);
        let whole = (count - head) / elements * elements;
        let (head_out, rest) = out.split_at_mut(head * self.to_bytes);
        let (whole_out, tail_out) = rest.split_at_mut(whole * self.to_bytes);
        self.part(start, head_out)?;
        self.cast.run(self.units(start + head, whole), whole_out)?;
        self.part(start + head + whole, tail_out)
    }

    /// A run that lies within one unit.
    fn part(&self, start: usize, out: &mut [u8]) -> Result<(), OutOfRange> {
        if out.is_empty() {
            return Ok(());
        }
        let elements = self.cast.unit.elements;
        let mut unit = [0; UNIT_BYTES];
        let unit = &mut unit[..elements * self.to_bytes];
        self.cast.run(self.units(start / elements * elements, elements), unit)?;
        let skip = start % elements * self.to_bytes;
        out.copy_from_slice(&unit[skip..skip + out.len()]);
        Ok(())
    }

    /// The stored bytes of whole units.
    fn units(&self, start: usize, count: usize) -> &[u8] {
        let Unit { elements, bytes } = self.cast.unit;
        let begin = start / elements * bytes;
        &self.stored[begin..begin + count / elements * bytes]
    }
}

/// Bytes of output that one thread writes before it takes the next piece.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Fills `out` in pieces, in parallel: `read` writes the elements from a given one on.
pub(crate) fn fill(
    out: &mut [u8],
    element_bytes: usize,
    read: impl Fn(usize, &mut [u8]) -> Result<(), OutOfRange> + Sync,
) -> Result<(), OutOfRange> {
    let piece = PIECE_BYTES / element_bytes;
    out.par_chunks_mut(piece * element_bytes).enumerate().try_for_each(|(i, out)| read(i * piece, out))
}

impl TensorView<'_> {
    /// Writes every element as `dtype`, in row-major order, into `out`, which must have exactly
    /// their size. Runs on all threads of the current rayon pool.
    pub fn read_into(&self, dtype: DType, out: &mut [u8]) -> Result<(), ExprError> {
        let reader = Reader::new(Cow::Borrowed(&*self.bytes), &self.info.encoding, dtype)?;
        let expected = self.info.shape.elements().saturating_mul(dtype.host_bytes());
        if out.len() != expected {
            return Err(ExprError::OutputSize { expected, found: out.len() });
        }
        fill(out, dtype.host_bytes(), |start, out| reader.read(start, out))
            .map_err(|OutOfRange| ExprError::OutOfRange { dtype })
    }
}
