//! What reports that join verbs say of each: names and values.

use serde::Serialize;

/// Something that is known, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Fact {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl From<Fact> for (String, String) {
    fn from(fact: Fact) -> Self {
        (fact.name, fact.value)
    }
}
