//! Shapes and dtypes of expressions, from checkpoint headers alone.

use porter_ir::{DType, Shape, TensorType};

use super::{
    Expr, ExprError,
    terms::{self, quantise},
};
use crate::{CastError, Checkpoint, Scheme, convert::Cast, quantised::Kernel};

impl Expr {
    /// The dtype and shape of the result. Reads no tensor data.
    pub fn infer(&self, checkpoint: &dyn Checkpoint) -> Result<TensorType, ExprError> {
        if let Expr::Source(name) = self {
            return source(name, checkpoint);
        }
        let inputs = self.inputs().iter().map(|e| e.infer(checkpoint)).collect::<Result<Vec<_>, _>>()?;
        match self {
            Expr::Dequantise { scheme, .. } => return Ok(kernel(scheme, &inputs)?.0),
            Expr::Quantise { to, part, .. } => return quantise::ty(*to, *part, &inputs),
            _ => {}
        }
        let shapes: Vec<Shape> = inputs.iter().map(|input| input.shape.clone()).collect();
        let shape = self.shape(&shapes)?;
        let dtype = match self {
            Expr::Cast { dtype, .. } => {
                cast(&inputs, *dtype)?;
                *dtype
            }
            Expr::Scale { factor, .. } => {
                terms::scale::check(&inputs, *factor)
                    .map_err(|what| ExprError::Term { term: "scale", what })?;
                DType::F32
            }
            _ => self.common_dtype(&inputs)?,
        };
        Ok(TensorType { dtype, shape })
    }

    /// The shape of the result of a term that only moves elements, over inputs of these shapes.
    pub(crate) fn shape(&self, inputs: &[Shape]) -> Result<Shape, ExprError> {
        let refuse = |what| ExprError::Term { term: self.term(), what };
        if let (Expr::Concat { .. } | Expr::Stack { .. }, []) = (self, inputs) {
            return Err(refuse("has no input".to_owned()));
        }
        let first = inputs.first().cloned().unwrap_or_default();
        let shape = match self {
            Expr::Source(_)
            | Expr::Cast { .. }
            | Expr::Scale { .. }
            | Expr::Dequantise { .. }
            | Expr::Quantise { .. } => Ok(first),
            Expr::Permute { dims, .. } => terms::permute::shape(&first, dims),
            Expr::Reshape { shape, .. } => terms::reshape::shape(&first, shape),
            Expr::Slice { ranges, .. } => terms::slice::shape(&first, ranges),
            Expr::Concat { dim, .. } => terms::concat::shape(inputs, *dim),
            Expr::Stack { .. } => terms::stack::shape(inputs),
            Expr::Pad { padding, .. } => terms::pad::shape(&first, padding),
            Expr::Repeat { dim, times, .. } => terms::repeat::shape(&first, *dim, *times),
        };
        let shape = shape.map_err(refuse)?;
        if shape.checked_elements().is_none() {
            return Err(refuse(format!("the result's shape {shape} overflows")));
        }
        Ok(shape)
    }

    fn common_dtype(&self, inputs: &[TensorType]) -> Result<DType, ExprError> {
        let first = inputs.first().map_or(DType::F32, |input| input.dtype);
        match inputs.iter().find(|input| input.dtype != first) {
            None => Ok(first),
            Some(other) => Err(ExprError::Term {
                term: self.term(),
                what: format!("inputs are {first} and {}; cast them to one dtype first", other.dtype),
            }),
        }
    }
}

/// What the tensor of these pieces is, and how to compute it.
pub(super) fn kernel(
    scheme: &Scheme,
    pieces: &[TensorType],
) -> Result<(TensorType, Box<dyn Kernel>), ExprError> {
    let refuse = |what: String| ExprError::Term { term: "dequantise", what: format!("{scheme}: {what}") };
    let (ty, kernel) = scheme.kernel(pieces).map_err(refuse)?;
    if ty.shape.checked_elements().is_none() {
        return Err(refuse(format!("the shape {} overflows", ty.shape)));
    }
    Ok((ty, kernel))
}

fn source(name: &str, checkpoint: &dyn Checkpoint) -> Result<TensorType, ExprError> {
    let missing = || ExprError::Missing { source_name: name.to_owned() };
    let info = checkpoint.tensors().get(name).ok_or_else(missing)?;
    match info.encoding.dtype() {
        Some(dtype) => Ok(TensorType { dtype, shape: info.shape.clone() }),
        // Says why the encoding is not read.
        None => Err(Cast::new(&info.encoding, DType::F32).err().map_or_else(missing, ExprError::from)),
    }
}

fn cast(inputs: &[TensorType], to: DType) -> Result<(), CastError> {
    for input in inputs {
        Cast::new(&crate::Encoding::Plain(input.dtype), to)?;
    }
    Ok(())
}
