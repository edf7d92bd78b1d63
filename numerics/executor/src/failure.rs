//! What an op that fails says, before it is known which op it was.

use crate::ExecuteError;

/// Why an op failed, before it is known which op it was.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was found and what was expected.
    Problem(String),
    /// An op inside of one of its regions.
    Within(ExecuteError),
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Failure::Problem(problem)
    }
}

impl From<&str> for Failure {
    fn from(problem: &str) -> Self {
        Failure::Problem(problem.to_owned())
    }
}

impl From<ExecuteError> for Failure {
    fn from(error: ExecuteError) -> Self {
        Failure::Within(error)
    }
}

/// The result of executing one op.
pub(crate) type Outcome<T> = Result<T, Failure>;
