//! Why a model is not imported.

use std::{collections::BTreeSet, fmt};

use porter_ir::{LiteralError, OpError};

/// Everything that is wrong with a model, found in one pass.
#[derive(Debug, thiserror::Error)]
pub struct ImportError {
    /// Each problem, in the order of the graph.
    pub problems: Vec<Problem>,
    /// Inputs whose values would have to be known at import, because shapes depend on them: give them in
    /// [`Options::values`](crate::Options::values) to make a program for just those values.
    pub needs: BTreeSet<String>,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problems", self.problems.len())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The node, input, output or tensor: `node "x" (Conv)`.
    pub at: String,
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// What was found, what was expected.
    pub what: String,
}

/// What kind of problem a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The model breaks ONNX's rules.
    Invalid,
    /// The model is valid, and this importer has no lowering for it.
    Unsupported,
    /// A shape depends on values that are not known at import.
    Dynamic,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// Why one node is not lowered.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Invalid(String),
    Unsupported(String),
    /// Needs the values of these inputs.
    Needs(BTreeSet<String>),
    /// It was reported where it was found.
    Reported,
    /// Needs a value that something computes at run time.
    Dynamic(String),
}

impl Fault {
    /// What was found.
    pub(crate) fn what(self) -> String {
        match self {
            Fault::Invalid(what) | Fault::Unsupported(what) | Fault::Dynamic(what) => what,
            Fault::Needs(inputs) => format!("needs the values of {inputs:?}"),
            Fault::Reported => "was reported".to_owned(),
        }
    }
}

impl From<OpError> for Fault {
    fn from(error: OpError) -> Self {
        let operands: Vec<String> = error.operands.iter().map(ToString::to_string).collect();
        Fault::Invalid(format!("{}({}): {}", error.op, operands.join(", "), error.problem))
    }
}

impl From<LiteralError> for Fault {
    fn from(error: LiteralError) -> Self {
        Fault::Invalid(error.to_string())
    }
}

/// The model breaks a rule.
pub(crate) fn invalid<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Invalid(what.into()))
}

/// The importer cannot do it.
pub(crate) fn unsupported<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Unsupported(what.into()))
}
