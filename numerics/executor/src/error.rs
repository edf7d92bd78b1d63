//! What can go wrong in a run.

use porter_ir::TensorType;

/// A run that did not end, and why.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExecuteError {
    /// An op that cannot be executed here, named by where it came from.
    #[error("{}: {op}({}): {problem}", place(path), list(operands))]
    Op {
        /// Source path: `model.layers.3.self_attn.q_proj`.
        path: String,
        /// The op's name: `stablehlo.custom_call`.
        op: &'static str,
        /// The types of its operands, as the program says.
        operands: Vec<TensorType>,
        /// What was found and what was expected.
        problem: String,
    },
    /// An input of another type than the program says.
    #[error("input {name:?}: found {found}, expected {expected}")]
    Input {
        /// The input's name.
        name: String,
        /// The type that was given.
        found: TensorType,
        /// The type that the program says.
        expected: TensorType,
    },
    /// A tensor with more or fewer bytes than its type has.
    #[error("{found} bytes for {ty}, expected {expected}")]
    Bytes {
        /// The tensor's type.
        ty: TensorType,
        /// The bytes that were given.
        found: usize,
        /// The bytes that the type has; `usize::MAX` where they cannot be counted.
        expected: usize,
    },
    /// Nothing can be run.
    #[error("this build of Porter has no reference executor: it was built without the feature \"executor\"")]
    Absent,
    /// A tensor that memory cannot hold.
    #[error("{ty} takes more memory than there is")]
    TooLarge {
        /// The tensor's type.
        ty: TensorType,
    },
}

fn place(path: &str) -> &str {
    if path.is_empty() { "(top level)" } else { path }
}

fn list(types: &[TensorType]) -> String {
    types.iter().map(TensorType::to_string).collect::<Vec<_>>().join(", ")
}
