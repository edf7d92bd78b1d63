//! Why a checkpoint cannot be written.

use std::fmt;

/// Why a set of tensors cannot be laid out in a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be written as {format}:{}", Lines(problems))]
pub struct WriteError {
    /// The format.
    pub format: &'static str,
    /// Everything that does not fit, in the order of the tensors.
    pub problems: Vec<Unwritable>,
}

/// One thing that does not fit a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// The tensor or metadata key; empty for the whole.
    pub name: String,
    /// What was found, and what was expected.
    pub what: String,
}

impl Unwritable {
    /// `what` of the tensor or key `name`.
    pub fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self { name: name.into(), what: what.into() }
    }
}

impl WriteError {
    /// Nothing, if there is no problem.
    pub(crate) fn unless_empty(format: &'static str, problems: Vec<Unwritable>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { format, problems }) }
    }
}

struct Lines<'a>(&'a [Unwritable]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Unwritable { name, what }| match name.as_str() {
            "" => write!(f, "\n  {what}"),
            name => write!(f, "\n  {name:?}: {what}"),
        })
    }
}
