//! The stored bytes of an output tensor, any stretch of them at a time.

use std::ops::Range;

use porter_ir::DType;

use super::OutputTensor;
use crate::{
    Checkpoint, Encoding, Expr, ExprError, TensorView,
    map::evaluate::Node,
    read::{Access, Fault, read_at},
    scratch::Scratch,
    stored::Unit,
};

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
        let Encoding::Plain(dtype) = tensor.encoding else {
            return Err(refuse(format!("numbers are not written as {}", tensor.encoding)));
        };
        let node = Node::new(&tensor.expr, checkpoint, dtype, Access::Positioned)?;
        Ok(Self { unit, dtype, way: Way::Numbers(node) })
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
        };
        read.map_err(|fault: Fault| fault.into_error(self.dtype))
    }
}
