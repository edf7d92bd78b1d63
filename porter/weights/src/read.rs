//! Reading a tensor's elements as numbers.

use std::borrow::Cow;

use porter_ir::DType;
use rayon::prelude::*;

use crate::{
    CastError, Checkpoint, Encoding, Error, TensorView,
    convert::{Cast, OutOfRange},
    map::ExprError,
    scratch::Scratch,
    stored::Unit,
};

/// Why a run of elements could not be read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// An integer does not fit the dtype.
    OutOfRange,
    /// The checkpoint did not give the bytes.
    Checkpoint(Box<Error>),
    /// A term does not take a value that it read.
    Refused { term: &'static str, what: String },
}

impl From<OutOfRange> for Fault {
    fn from(OutOfRange: OutOfRange) -> Self {
        Fault::OutOfRange
    }
}

impl Fault {
    /// The error of reading an expression as `dtype`.
    pub(crate) fn into_error(self, dtype: DType) -> ExprError {
        match self {
            Fault::OutOfRange => ExprError::OutOfRange { dtype },
            Fault::Checkpoint(error) => ExprError::Checkpoint(error),
            Fault::Refused { term, what } => ExprError::Term { term, what },
        }
    }
}

/// How the stored bytes of sources are had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// From the file's map: fastest, and counted as this process's memory for as long as the system
    /// likes.
    Mapped,
    /// By positioned reads into memory of bounded size.
    Positioned,
}

/// A tensor's stored bytes.
enum Stored<'a> {
    Bytes(Cow<'a, [u8]>),
    At { checkpoint: &'a dyn Checkpoint, name: String },
}

/// A tensor's elements as a dtype, any run of them at a time.
pub(crate) struct Reader<'a> {
    stored: Stored<'a>,
    cast: Cast,
    to_bytes: usize,
}

/// Stored bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;
/// The most bytes that one unit of elements takes in any dtype: 256 elements of 8 bytes.
const UNIT_BYTES: usize = 256 * 8;

impl<'a> Reader<'a> {
    /// The tensor `name` of a checkpoint.
    pub(crate) fn of(
        checkpoint: &'a dyn Checkpoint,
        name: &str,
        to: DType,
        access: Access,
    ) -> Result<Self, ExprError> {
        if access == Access::Positioned
            && checkpoint.reads_in_place(name)
            && let Some(info) = checkpoint.tensors().get(name)
        {
            let stored = Stored::At { checkpoint, name: name.to_owned() };
            return Ok(Self { stored, cast: Cast::new(&info.encoding, to)?, to_bytes: to.host_bytes() });
        }
        let view = checkpoint.tensor(name).map_err(|error| ExprError::Checkpoint(Box::new(error)))?;
        Ok(Self::new(view.bytes, &view.info.encoding, to)?)
    }

    fn new(stored: Cow<'a, [u8]>, encoding: &Encoding, to: DType) -> Result<Self, CastError> {
        Ok(Self { stored: Stored::Bytes(stored), cast: Cast::new(encoding, to)?, to_bytes: to.host_bytes() })
    }

    /// Writes the elements from `start` on that `out` has room for. The run must lie in the tensor.
    pub(crate) fn read(&self, start: usize, out: &mut [u8], scratch: &mut Scratch) -> Result<(), Fault> {
        let Unit { elements, .. } = self.cast.unit;
        let count = out.len() / self.to_bytes;
        let head = (start.next_multiple_of(elements) - start).min(count);
        let whole = (count - head) / elements * elements;
        let (head_out, rest) = out.split_at_mut(head * self.to_bytes);
        let (whole_out, tail_out) = rest.split_at_mut(whole * self.to_bytes);
        self.part(start, head_out, scratch)?;
        self.units(start + head, whole_out, scratch)?;
        self.part(start + head + whole, tail_out, scratch)
    }

    /// A run that lies within one unit.
    fn part(&self, start: usize, out: &mut [u8], scratch: &mut Scratch) -> Result<(), Fault> {
        if out.is_empty() {
            return Ok(());
        }
        let elements = self.cast.unit.elements;
        let mut unit = [0; UNIT_BYTES];
        let unit = &mut unit[..elements * self.to_bytes];
        self.units(start / elements * elements, unit, scratch)?;
        let skip = start % elements * self.to_bytes;
        out.copy_from_slice(&unit[skip..skip + out.len()]);
        Ok(())
    }

    /// A run of whole units.
    fn units(&self, start: usize, out: &mut [u8], scratch: &mut Scratch) -> Result<(), Fault> {
        let Unit { elements, bytes } = self.cast.unit;
        let begin = start / elements * bytes;
        let len = out.len() / self.to_bytes / elements * bytes;
        match &self.stored {
            Stored::Bytes(stored) => Ok(self.cast.run(&stored[begin..begin + len], out)?),
            Stored::At { checkpoint, name } if self.cast.copies() => read_at(*checkpoint, name, begin, out),
            Stored::At { checkpoint, name } => {
                let piece = (READ_BYTES / bytes).max(1);
                let mut buffer = scratch.take(len.min(piece * bytes));
                for (i, out) in out.chunks_mut(piece * elements * self.to_bytes).enumerate() {
                    let stored = &mut buffer[..out.len() / self.to_bytes / elements * bytes];
                    read_at(*checkpoint, name, begin + i * piece * bytes, stored)?;
                    self.cast.run(stored, out)?;
                }
                scratch.give(buffer);
                Ok(())
            }
        }
    }
}

/// Stored bytes of `name` from byte `begin` on.
pub(crate) fn read_at(
    checkpoint: &dyn Checkpoint,
    name: &str,
    begin: usize,
    out: &mut [u8],
) -> Result<(), Fault> {
    checkpoint.read_at(name, begin as u64, out).map_err(|error| Fault::Checkpoint(Box::new(error)))
}

/// Bytes of output that one thread writes before it takes the next piece.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Fills `out` in pieces, in parallel: `read` writes the elements from a given one on.
pub(crate) fn fill(
    out: &mut [u8],
    element_bytes: usize,
    read: impl Fn(usize, &mut [u8], &mut Scratch) -> Result<(), Fault> + Sync,
) -> Result<(), Fault> {
    let piece = PIECE_BYTES / element_bytes;
    out.par_chunks_mut(piece * element_bytes)
        .enumerate()
        .try_for_each_init(Scratch::default, |scratch, (i, out)| read(i * piece, out, scratch))
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
        fill(out, dtype.host_bytes(), |start, out, scratch| reader.read(start, out, scratch))
            .map_err(|fault| fault.into_error(dtype))
    }
}
