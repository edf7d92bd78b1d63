//! Evaluating an expression into the caller's memory.
//!
//! Every term can write any run of its result in row-major order, by asking its inputs for runs.
//! So the result is written in pieces, in parallel, with no memory but a tile on each stack.

use porter_ir::{DType, Shape, TensorType};

use super::{
    Expr, ExprError,
    runs::{From, Run, Runs},
    terms::{
        concat::Concat,
        pad::Pad,
        permute::{Permute, Scattered},
        repeat::Repeat,
        slice::Slice,
        stack,
    },
};
use crate::{
    Checkpoint, Encoding,
    convert::{Cast, OutOfRange},
    read::{Reader, fill},
};

/// Bytes of an intermediate tile.
const TILE_BYTES: usize = 4096;

impl Expr {
    /// Writes the result, as `dtype`, into `out`, which must have exactly its size: elements in
    /// row-major order, each of `dtype.host_bytes()`. Runs on all threads of the current rayon pool.
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
        let (_, node) = build(self, checkpoint, dtype)?;
        fill(out, dtype.host_bytes(), |start, out| node.read(start, out))
            .map_err(|OutOfRange| ExprError::OutOfRange { dtype })
    }
}

/// A term whose sources, shapes and casts are resolved, for results of one dtype.
enum Node<'a> {
    Source(Reader<'a>),
    Cast { input: Box<Node<'a>>, cast: Cast, from_bytes: usize, to_bytes: usize },
    Reshape(Box<Node<'a>>),
    Moved { runs: Box<dyn Runs>, inputs: Vec<Node<'a>>, bytes: usize },
    Transposed { permute: Permute, input: Box<Node<'a>>, bytes: usize },
}

/// Resolves `expr` for results of `dtype`.
fn build<'a>(
    expr: &Expr,
    checkpoint: &'a dyn Checkpoint,
    dtype: DType,
) -> Result<(Shape, Node<'a>), ExprError> {
    match expr {
        Expr::Source(name) => {
            let view = checkpoint.tensor(name).map_err(|error| ExprError::Checkpoint(Box::new(error)))?;
            Ok((view.info.shape.clone(), Node::Source(Reader::new(view.bytes, &view.info.encoding, dtype)?)))
        }
        Expr::Cast { input, dtype: rounded } if *rounded == dtype => build(input, checkpoint, dtype),
        Expr::Cast { input, dtype: rounded } => {
            let (shape, input) = build(input, checkpoint, *rounded)?;
            let cast = Cast::new(&Encoding::Plain(*rounded), dtype)?;
            let (from_bytes, to_bytes) = (rounded.host_bytes(), dtype.host_bytes());
            Ok((shape, Node::Cast { input: Box::new(input), cast, from_bytes, to_bytes }))
        }
        _ => build_moved(expr, checkpoint, dtype),
    }
}

/// Resolves a term that only moves elements.
fn build_moved<'a>(
    expr: &Expr,
    checkpoint: &'a dyn Checkpoint,
    dtype: DType,
) -> Result<(Shape, Node<'a>), ExprError> {
    let inputs = expr.inputs().iter().map(|e| build(e, checkpoint, dtype)).collect::<Result<Vec<_>, _>>()?;
    let (shapes, mut nodes): (Vec<Shape>, Vec<Node<'a>>) = inputs.into_iter().unzip();
    let shape = expr.shape(&shapes)?;
    let bytes = dtype.host_bytes();
    let first = shapes.first().cloned().unwrap_or_default();
    let runs: Box<dyn Runs> = match expr {
        Expr::Source(_) | Expr::Cast { .. } | Expr::Reshape { .. } => {
            return Ok((shape, Node::Reshape(Box::new(nodes.swap_remove(0)))));
        }
        Expr::Permute { dims, .. } => {
            let permute = Permute::new(&first, dims);
            if permute.last.stride > 1 {
                return Ok((
                    shape,
                    Node::Transposed { permute, input: Box::new(nodes.swap_remove(0)), bytes },
                ));
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

impl Node<'_> {
    /// Writes the elements from `start` on that `out` has room for.
    fn read(&self, start: usize, out: &mut [u8]) -> Result<(), OutOfRange> {
        match self {
            Node::Source(reader) => reader.read(start, out),
            Node::Reshape(input) => input.read(start, out),
            Node::Cast { input, cast, from_bytes, to_bytes } => {
                let tile_elements = TILE_BYTES / from_bytes;
                let mut tile = [0; TILE_BYTES];
                for (i, out) in out.chunks_mut(tile_elements * to_bytes).enumerate() {
                    let tile = &mut tile[..out.len() / to_bytes * from_bytes];
                    input.read(start + i * tile_elements, tile)?;
                    cast.run(tile, out)?;
                }
                Ok(())
            }
            Node::Moved { runs, inputs, bytes } => read_moved(runs.as_ref(), inputs, *bytes, start, out),
            Node::Transposed { permute, input, bytes } => read_transposed(permute, input, *bytes, start, out),
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
) -> Result<(), OutOfRange> {
    let mut position = start;
    while !out.is_empty() {
        let Run { from, len } = runs.run_at(position);
        let len = len.min(out.len() / bytes);
        let (now, later) = out.split_at_mut(len * bytes);
        match from {
            From::Zeros => now.fill(0),
            From::Input { input, start } => inputs[input].read(start, now)?,
        }
        position += len;
        out = later;
    }
    Ok(())
}

/// Fills `out` where the input's last dimension is spread out: whole stretches of it are read, and
/// their elements put in place one by one.
fn read_transposed(
    permute: &Permute,
    input: &Node<'_>,
    bytes: usize,
    start: usize,
    mut out: &mut [u8],
) -> Result<(), OutOfRange> {
    let Scattered { size, stride } = permute.last;
    let mut position = start;
    while !out.is_empty() {
        let (at, column) = (position / stride % size, position % stride);
        let columns = (stride - column).min(out.len() / bytes);
        let rows = if columns == stride {
            (size - at).min(out.len() / bytes / stride).min(TILE_BYTES / bytes)
        } else {
            1
        };
        let (now, later) = out.split_at_mut(rows * columns * bytes);
        let mut stretch = [0; TILE_BYTES];
        let stretch = &mut stretch[..rows * bytes];
        for c in 0..columns {
            let Run { from: From::Input { start, .. }, .. } = permute.run_at(position + c) else { continue };
            input.read(start, stretch)?;
            for (row, element) in now.chunks_exact_mut(columns * bytes).zip(stretch.chunks_exact(bytes)) {
                row[c * bytes..][..bytes].copy_from_slice(element);
            }
        }
        position += rows * columns;
        out = later;
    }
    Ok(())
}
