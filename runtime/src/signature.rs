//! What a program takes and gives.

use std::collections::BTreeSet;

use porter_ir::TensorType;

use crate::{Error, Result, interface::Interface};

/// The types of a program's arguments and results on one device.
///
/// Of a partitioned program these are the types of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// The types of the arguments.
    pub inputs: Vec<TensorType>,
    /// The arguments whose memory the program reuses for its results.
    pub donated: Vec<usize>,
    /// The types of the results.
    pub outputs: Vec<TensorType>,
}

impl Signature {
    /// Compares with what a compiled program says that it takes and gives. Every difference is
    /// reported.
    pub(crate) fn check(&self, interface: &Interface, outputs: &[Option<TensorType>]) -> Result<()> {
        let mut problems = Vec::new();
        compare("argument", &self.inputs, &interface.inputs(), &mut problems);
        compare("result", &self.outputs, outputs, &mut problems);
        let expected: BTreeSet<usize> = self.donated.iter().copied().collect();
        let reused = interface.donated();
        let missing = expected.difference(&reused);
        problems
            .extend(missing.map(|i| format!("argument {i} is donated, but the program does not reuse it")));
        let unexpected = reused.difference(&expected);
        problems
            .extend(unexpected.map(|i| format!("argument {i} is reused by the program, but not donated")));
        if problems.is_empty() { Ok(()) } else { Err(Error::Signature(problems)) }
    }
}

fn compare(what: &str, expected: &[TensorType], found: &[Option<TensorType>], problems: &mut Vec<String>) {
    if found.len() != expected.len() {
        problems.push(format!("it has {} {what}s, the signature {}", found.len(), expected.len()));
        return;
    }
    for (i, (expected, found)) in expected.iter().zip(found).enumerate() {
        match found {
            Some(found) if found == expected => {}
            Some(found) => problems.push(format!("{what} {i} is {found}, the signature says {expected}")),
            None => problems.push(format!("{what} {i} has a type that Porter does not know")),
        }
    }
}
