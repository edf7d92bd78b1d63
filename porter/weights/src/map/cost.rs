//! What an expression costs.

use super::{Expr, ExprError};
use crate::Checkpoint;

/// What evaluating an expression reads and writes. Evaluation takes no memory besides its output,
/// so there is no third figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Stored bytes of the sources, each counted once.
    pub read_bytes: usize,
    /// Bytes of the result in its inferred dtype.
    pub written_bytes: usize,
}

impl Expr {
    /// What evaluating this costs.
    pub fn cost(&self, checkpoint: &dyn Checkpoint) -> Result<Cost, ExprError> {
        let written_bytes = self.infer(checkpoint)?.host_bytes();
        let read = self.sources().into_iter().filter_map(|name| checkpoint.tensors().get(name));
        Ok(Cost { read_bytes: read.map(|info| info.bytes).sum(), written_bytes })
    }
}
