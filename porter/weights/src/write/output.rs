//! The stored bytes of an output tensor, any stretch of them at a time.

use std::ops::Range;

use porter_ir::DType;

use super::OutputTensor;
use crate::{
    Checkpoint, Encoding, Expr, ExprError, TensorView,
    convert::Encode,
    gguf::blocks,
    map::evaluate::Node,
    read::{Access, Fault, read_at},
    scratch::Scratch,
    stored::Unit,
};

/// Numbers that are encoded at a time: enough for rows of a permuted tensor to be read in long runs.
const NUMBERS: usize = 1 << 18;

/// An output tensor whose sources are resolved.
pub(crate) struct Output<'a> {
    unit: Unit,
    dtype: DType,
    way: Way<'a>,
}

/// How the bytes are made.
enum Way<'a> {
    /// They are stored like this.
    Same { checkpoint: &'a dyn Checkpoint, name: String },
    /// They are stored like this, and cannot be read in place.
    Whole(TensorView<'a>),
    /// They are numbers of a dtype.
    Numbers(Node<'a>),
    /// They are blocks of numbers.
    Blocks { node: Node<'a>, encode: Encode<f32> },
}

impl<'a> Output<'a> {
    pub(crate) fn new(tensor: &OutputTensor, checkpoint: &'a dyn Checkpoint) -> Result<Self, ExprError> {
        let refuse = |what| ExprError::Term { term: "output", what };
        let unit = tensor.encoding.unit();
        let unit = unit.ok_or_else(|| refuse(format!("{} has no known size", tensor.encoding)))?;
        if let Expr::Source(name) = &tensor.expr
            && let Some(info) = checkpoint.tensors().get(name)
            && info.encoding == tensor.encoding
        {
            if info.shape != tensor.shape {
                return Err(refuse(format!("{} was planned, and {} is there", tensor.shape, info.shape)));
            }
            let way = if checkpoint.reads_in_place(name) {
                Way::Same { checkpoint, name: name.clone() }
            } else {
                let view = checkpoint.tensor(name);
                Way::Whole(view.map_err(|error| ExprError::Checkpoint(Box::new(error)))?)
            };
            return Ok(Self { unit, dtype: DType::U8, way });
        }
        let found = tensor.expr.infer(checkpoint)?.shape;
        if found != tensor.shape {
            return Err(refuse(format!("{} was planned, and the expression gives {found}", tensor.shape)));
        }
        let not_written = || refuse(format!("numbers are not written as {}", tensor.encoding));
        let encode = match &tensor.encoding {
            Encoding::Plain(_) => None,
            Encoding::Block(block) => Some(blocks::encoder(*block).ok_or_else(not_written)?),
            Encoding::Other(_) => return Err(not_written()),
        };
        let dtype = tensor.encoding.dtype().ok_or_else(not_written)?;
        let node = Node::new(&tensor.expr, checkpoint, dtype, Access::Positioned)?;
        let way = match encode {
            None => Way::Numbers(node),
            Some(encode) => Way::Blocks { node, encode },
        };
        Ok(Self { unit, dtype, way })
    }

    /// Writes the stored bytes of the elements of `range`, which must split no block.
    pub(crate) fn read(
        &self,
        range: &Range<usize>,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), ExprError> {
        let begin = range.start / self.unit.elements * self.unit.bytes;
        let read = match &self.way {
            Way::Same { checkpoint, name } => read_at(*checkpoint, name, begin, out),
            Way::Whole(view) => {
                out.copy_from_slice(&view.bytes[begin..begin + out.len()]);
                Ok(())
            }
            Way::Numbers(node) => node.read(range.start, out, scratch),
            Way::Blocks { node, encode } => self.blocks(node, *encode, range.start, out, scratch),
        };
        read.map_err(|fault: Fault| fault.into_error(self.dtype))
    }

    /// Numbers from `start` on as blocks, some of them at a time.
    fn blocks(
        &self,
        node: &Node<'_>,
        encode: Encode<f32>,
        start: usize,
        out: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<(), Fault> {
        let Unit { elements, bytes } = self.unit;
        let units = (NUMBERS / elements).max(1);
        let mut numbers = vec![0.0; units * elements];
        let mut buffer = scratch.take(numbers.len() * size_of::<f32>());
        for (i, out) in out.chunks_mut(units * bytes).enumerate() {
            let numbers = &mut numbers[..out.len() / bytes * elements];
            let stored = &mut buffer[..size_of_val(numbers)];
            node.read(start + i * units * elements, stored, scratch)?;
            for (number, stored) in numbers.iter_mut().zip(stored.as_chunks().0) {
                *number = f32::from_le_bytes(*stored);
            }
            encode(numbers, out);
        }
        scratch.give(buffer);
        Ok(())
    }
}
