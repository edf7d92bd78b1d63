//! Why an expression does not fit a checkpoint.

use porter_ir::DType;

use crate::{CastError, Error, ErrorKind};

/// Why an expression cannot be inferred or evaluated.
#[derive(Debug, thiserror::Error)]
pub enum ExprError {
    /// The checkpoint has no such tensor.
    #[error("the checkpoint holds no tensor {source_name:?}")]
    Missing {
        /// The source tensor.
        source_name: String,
    },
    /// A term does not take its inputs.
    #[error("{term}: {what}")]
    Term {
        /// The term, as [`Expr`](crate::Expr) names it.
        term: &'static str,
        /// What was found, and what was expected.
        what: String,
    },
    /// The elements cannot be read as that dtype.
    #[error(transparent)]
    Cast(#[from] CastError),
    /// An integer does not fit the dtype asked for.
    #[error("a value does not fit {dtype}")]
    OutOfRange {
        /// The dtype asked for.
        dtype: DType,
    },
    /// The caller's memory has another size than the result.
    #[error("the result takes {expected} bytes; the memory given has {found}")]
    OutputSize {
        /// Bytes of the result.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The checkpoint could not give a tensor's bytes.
    #[error(transparent)]
    Checkpoint(Box<Error>),
}

impl ExprError {
    /// What the error means for the person who gave the file.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ExprError::Missing { .. } | ExprError::Term { .. } | ExprError::OutputSize { .. } => {
                ErrorKind::Mismatch
            }
            ExprError::Cast(_) | ExprError::OutOfRange { .. } => ErrorKind::Unsupported,
            ExprError::Checkpoint(error) => error.kind(),
        }
    }
}
