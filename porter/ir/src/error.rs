//! What can be wrong with a program.

use std::fmt;

use crate::TensorType;

/// An op that does not fit its operands, named by where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpError {
    /// Source path: `model.layers.3.self_attn.q_proj`.
    pub path: String,
    /// The op's name: `stablehlo.dot_general`.
    pub op: &'static str,
    /// The types of its operands.
    pub operands: Vec<TensorType>,
    /// What was found and what was expected.
    pub problem: String,
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "(top level)" } else { &self.path };
        write!(f, "{path}: {}(", self.op)?;
        for (i, ty) in self.operands.iter().enumerate() {
            write!(f, "{}{ty}", if i == 0 { "" } else { ", " })?;
        }
        write!(f, "): {}", self.problem)
    }
}

impl std::error::Error for OpError {}

/// The result of adding an op.
pub type Result<T, E = OpError> = std::result::Result<T, E>;
