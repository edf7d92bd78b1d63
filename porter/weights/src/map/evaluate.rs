//! Evaluating an expression into the caller's memory.
//!
//! Every term can write any run of its result in row-major order, by asking its inputs for runs.
//! So a result is written in pieces, in parallel, and in any order.

use porter_ir::{DType, Shape, TensorType};

use super::{
    Expr, ExprError,
    boxes::Boxes,
    infer,
    runs::{From, Run, Runs},
    terms::{
        concat::Concat, dequantise::Dequantised, pad::Pad, permute::Permute, quantise::Quantised,
        repeat::Repeat, scale, slice::Slice, stack,
    },
};
use crate::{
    Checkpoint, Encoding,
    convert::Cast,
    read::{Access, Fault, Reader, fill},
    scratch::Scratch,
};

/// Bytes of an intermediate tile.
const TILE_BYTES: usize = 4096;
/// Runs of a permuted source that are at least as long are read where they belong, without a box.
const LONG_RUN_BYTES: usize = 4096;

impl Expr {
    /// Writes the result, as `dtype`, into `out`, which must have exactly its size: elements in
    /// row-major order, each of `dtype.host_bytes()`. Runs on all threads of the current rayon pool,
    /// each of which takes as much memory as a piece of 1 MiB for every permutation on the way.
    pub fn evaluate(
        &self,
        checkpoint: &dyn Checkpoint,
        dtype: DType,
        out: &mut [u8],
    ) -> Result<(), ExprError> {
        let inferred = self.infer(checkpoint)?;
        let expected = TensorType { dtype, ..inferred }.host_bytes();
        if out.len() != expected {
            return Err(ExprError::OutputSize { expected, found: out.len() });
        }
        let node = Node::new(self, checkpoint, dtype, Access::Mapped)?;
        fill(out, dtype.host_bytes(), |start, out, scratch| node.read(start, out, scratch))
            .map_err(|fault| fault.into_error(dtype))
    }
}

/// A term whose sources, shapes and casts are resolved, for results of one dtype.
pub(crate) enum Node<'a> {
    Source(Reader<'a>),
    Cast { input: Box<Node<'a>>, cast: Cast, from_bytes: usize, to_bytes: usize },
    Scale { input: Box<Node<'a>>, factor: f32, cast: Cast, to_bytes: usize },
    Reshape(Box<Node<'a>>),
    Moved { runs: Box<dyn Runs>, inputs: Vec<Node<'a>>, bytes: usize },
    Permuted { boxes: Boxes, input: Box<Node<'a>> },
    Dequantised(Dequantised<'a>),
    Quantised(Quantised<'a>),
}

/// Resolves one term after the other.
struct Build<'a> {
    checkpoint: &'a dyn Checkpoint,
    access: Access,
}

impl<'a> Build<'a> {
    /// `expr` for results of `dtype`, and its shape.
    fn node(&self, expr: &Expr, dtype: DType) -> Result<(Shape, Node<'a>), ExprError> {
        match expr {
            Expr::Source(name) => {
                let missing = || ExprError::Missing { source_name: name.clone() };
                let info = self.checkpoint.tensors().get(name).ok_or_else(missing)?;
                let reader = Reader::of(self.checkpoint, name, dtype, self.access)?;
                Ok((info.shape.clone(), Node::Source(reader)))
            }
            Expr::Cast { input, dtype: rounded } if *rounded == dtype => self.node(input, dtype),
            Expr::Cast { input, dtype: rounded } => {
                let (shape, input) = self.node(input, *rounded)?;
                let cast = Cast::new(&Encoding::Plain(*rounded), dtype)?;
                let (from_bytes, to_bytes) = (rounded.host_bytes(), dtype.host_bytes());
                Ok((shape, Node::Cast { input: Box::new(input), cast, from_bytes, to_bytes }))
            }
            Expr::Scale { input, factor } => {
                let (shape, input) = self.node(input, DType::F32)?;
                let cast = Cast::new(&Encoding::Plain(DType::F32), dtype)?;
                let (factor, to_bytes) = (*factor, dtype.host_bytes());
                Ok((shape, Node::Scale { input: Box::new(input), factor, cast, to_bytes }))
            }
            Expr::Dequantise { scheme, inputs } => {
                let types = inputs.iter().map(|e| e.infer(self.checkpoint)).collect::<Result<Vec<_>, _>>()?;
                let (ty, kernel) = infer::kernel(scheme, &types)?;
                let pieces = inputs.iter().zip(&types).map(|(piece, ty)| Ok(self.node(piece, ty.dtype)?.1));
                let pieces = pieces.collect::<Result<Vec<_>, ExprError>>()?;
                Ok((ty.shape, Node::Dequantised(Dequantised::new(kernel, pieces, types, dtype)?)))
            }
            Expr::Quantise { input, to, part } => {
                let inner = input.infer(self.checkpoint)?;
                let shape = expr.infer(self.checkpoint)?.shape;
                // What the input's dtype holds, f32 holds.
                let input = self.node(&input.as_ref().clone().cast(inner.dtype), DType::F32)?.1;
                Ok((shape, Node::Quantised(Quantised::new((*to, *part), input, &inner, dtype)?)))
            }
            _ => self.moved(expr, dtype),
        }
    }

    /// A term that only moves elements.
    fn moved(&self, expr: &Expr, dtype: DType) -> Result<(Shape, Node<'a>), ExprError> {
        let inputs = expr.inputs().iter().map(|e| self.node(e, dtype)).collect::<Result<Vec<_>, _>>()?;
        let (shapes, mut nodes): (Vec<Shape>, Vec<Node<'a>>) = inputs.into_iter().unzip();
        let shape = expr.shape(&shapes)?;
        let bytes = dtype.host_bytes();
        let first = shapes.first().cloned().unwrap_or_default();
        let runs: Box<dyn Runs> = match expr {
            Expr::Source(_)
            | Expr::Cast { .. }
            | Expr::Scale { .. }
            | Expr::Dequantise { .. }
            | Expr::Quantise { .. }
            | Expr::Reshape { .. } => {
                return Ok((shape, Node::Reshape(Box::new(nodes.swap_remove(0)))));
            }
            Expr::Permute { dims, .. } => {
                let permute = Permute::new(&first, dims);
                if permute.run * bytes < LONG_RUN_BYTES || !nodes[0].is_stored_in_order() {
                    let boxes = Boxes::new(&first, dims, bytes);
                    return Ok((shape, Node::Permuted { boxes, input: Box::new(nodes.swap_remove(0)) }));
                }
                Box::new(permute)
            }
            Expr::Slice { ranges, .. } => Box::new(Slice::new(&first, ranges)),
            Expr::Concat { dim, .. } => Box::new(Concat::new(&shapes, *dim)),
            Expr::Stack { .. } => Box::new(stack::runs(&shapes)),
            Expr::Pad { padding, .. } => Box::new(Pad::new(&first, padding)),
            Expr::Repeat { dim, times, .. } => Box::new(Repeat::new(&first, *dim, *times)),
        };
        Ok((shape, Node::Moved { runs, inputs: nodes, bytes }))
    }
}

impl<'a> Node<'a> {
    /// Resolves `expr` for results of `dtype`.
    pub(crate) fn new(
        expr: &Expr,
        checkpoint: &'a dyn Checkpoint,
        dtype: DType,
        access: Access,
    ) -> Result<Self, ExprError> {
        Ok(Build { checkpoint, access }.node(expr, dtype)?.1)
    }

    /// True if runs of this are runs of stored bytes.
    fn is_stored_in_order(&self) -> bool {
        match self {
            Node::Source(_) => true,
            Node::Reshape(input) | Node::Cast { input, .. } | Node::Scale { input, .. } => {
                input.is_stored_in_order()
            }
            Node::Moved { .. } | Node::Permuted { .. } | Node::Dequantised(_) | Node::Quantised(_) => false,
        }
    }

    /// Writes the elements from `start` on that `out` has room for.
    pub(crate) fn read(&self, start: usize, out: &mut [u8], scratch: &mut Scratch) -> Result<(), Fault> {
        match self {
            Node::Source(reader) => reader.read(start, out, scratch),
            Node::Reshape(input) => input.read(start, out, scratch),
            Node::Cast { input, cast, from_bytes, to_bytes } => {
                let tile_elements = TILE_BYTES / from_bytes;
                let mut tile = [0; TILE_BYTES];
                for (i, out) in out.chunks_mut(tile_elements * to_bytes).enumerate() {
                    let tile = &mut tile[..out.len() / to_bytes * from_bytes];
                    input.read(start + i * tile_elements, tile, scratch)?;
                    cast.run(tile, out)?;
                }
                Ok(())
            }
            Node::Scale { input, factor, cast, to_bytes } => {
                let tile_elements = TILE_BYTES / size_of::<f32>();
                let mut tile = [0; TILE_BYTES];
                for (i, out) in out.chunks_mut(tile_elements * to_bytes).enumerate() {
                    let tile = &mut tile[..out.len() / to_bytes * size_of::<f32>()];
                    input.read(start + i * tile_elements, tile, scratch)?;
                    scale::multiply(tile, *factor);
                    cast.run(tile, out)?;
                }
                Ok(())
            }
            Node::Moved { runs, inputs, bytes } => {
                read_moved(runs.as_ref(), inputs, *bytes, start, out, scratch)
            }
            Node::Permuted { boxes, input } => {
                boxes.read(start, out, scratch, &|start, out, scratch| input.read(start, out, scratch))
            }
            Node::Dequantised(dequantised) => dequantised.read(start, out, scratch),
            Node::Quantised(quantised) => quantised.read(start, out, scratch),
        }
    }
}

/// Fills `out` run by run.
fn read_moved(
    runs: &dyn Runs,
    inputs: &[Node<'_>],
    bytes: usize,
    start: usize,
    mut out: &mut [u8],
    scratch: &mut Scratch,
) -> Result<(), Fault> {
    let mut position = start;
    while !out.is_empty() {
        let Run { from, len } = runs.run_at(position);
        let len = len.min(out.len() / bytes);
        let (now, later) = out.split_at_mut(len * bytes);
        match from {
            From::Zeros => now.fill(0),
            From::Input { input, start } => inputs[input].read(start, now, scratch)?,
        }
        position += len;
        out = later;
    }
    Ok(())
}
