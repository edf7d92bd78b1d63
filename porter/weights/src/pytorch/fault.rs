//! Why a part of a PyTorch file is not read.

use super::pickle::PickleError;
use crate::error::{Problem, Problems};

/// What is wrong with one part, by what it means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Corrupt(String),
    Unsupported(String),
}

impl Fault {
    /// Adds the problem to `problems`, at the place that `problem` makes.
    pub(crate) fn add_to(self, problems: &mut Problems, problem: impl FnOnce(String) -> Problem) {
        match self {
            Fault::Corrupt(what) => problems.corrupt.push(problem(what)),
            Fault::Unsupported(what) => problems.unsupported.push(problem(what)),
        }
    }

    /// The fault with what it is about before it.
    pub(crate) fn of(self, place: &str) -> Self {
        match self {
            Fault::Corrupt(what) => Fault::Corrupt(format!("{place}: {what}")),
            Fault::Unsupported(what) => Fault::Unsupported(format!("{place}: {what}")),
        }
    }
}

/// What breaks a format is a text.
impl From<String> for Fault {
    fn from(what: String) -> Self {
        Fault::Corrupt(what)
    }
}

impl From<PickleError> for Fault {
    fn from(error: PickleError) -> Self {
        match error {
            PickleError::Corrupt(what) => Fault::Corrupt(what),
            PickleError::Unsupported(what) => Fault::Unsupported(what),
        }
    }
}
