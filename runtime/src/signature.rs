//! What a program takes and gives.

use porter_ir::TensorType;

use crate::{Error, Result};

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
    /// Checks that the donated indices are arguments.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = self.donated.iter().filter(|&&i| i >= self.inputs.len());
        let problem =
            |i: &usize| format!("argument {i} is donated but there are {} arguments", self.inputs.len());
        let problems: Vec<String> = wrong.map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::Signature(problems)) }
    }

    /// Compares with the results that the plugin reports for the compiled program.
    pub(crate) fn check_outputs(&self, found: &[Option<TensorType>]) -> Result<()> {
        if found.len() != self.outputs.len() {
            let problem = format!("it has {} results, the signature {}", found.len(), self.outputs.len());
            return Err(Error::Signature(vec![problem]));
        }
        let differing =
            self.outputs.iter().zip(found).enumerate().filter(|(_, (e, f))| Some(*e) != f.as_ref());
        let problem = |(i, (expected, found)): (usize, (&TensorType, &Option<TensorType>))| {
            let found = found.as_ref().map_or("a type that Porter does not know".into(), ToString::to_string);
            format!("result {i} is {found}, the signature says {expected}")
        };
        let problems: Vec<String> = differing.map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::Signature(problems)) }
    }
}
