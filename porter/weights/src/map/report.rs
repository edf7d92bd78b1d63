//! How a weight map and a checkpoint differ.

use std::fmt;

use porter_ir::Shape;

/// Everything about a weight map that does not fit a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Tensors that a parameter reads and the checkpoint lacks.
    pub missing: Vec<Missing>,
    /// Parameters whose expression has another shape than the model wants.
    pub mis_shaped: Vec<MisShaped>,
    /// Parameters whose expression does not apply to the tensors there, or whose tie leads nowhere.
    pub unfit: Vec<Unfit>,
    /// Checkpoint tensors that no parameter reads, and that are not tolerated.
    pub unused: Vec<String>,
    /// Checkpoint tensors that no parameter reads, with the reason why that is right.
    pub tolerated: Vec<(String, String)>,
}

/// A tensor that the checkpoint lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The parameter that needs it.
    pub parameter: String,
    /// The tensor.
    pub source: String,
}

/// A parameter of the wrong shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisShaped {
    /// The parameter.
    pub parameter: String,
    /// The shape that the model wants.
    pub expected: Shape,
    /// The shape that the expression gives.
    pub found: Shape,
    /// The tensors that it reads.
    pub sources: Vec<String>,
}

/// A parameter whose expression does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The parameter.
    pub parameter: String,
    /// Why not.
    pub what: String,
}

impl Report {
    /// True if every parameter can be computed and every tensor is used or tolerated.
    pub fn fits(&self) -> bool {
        self.missing.is_empty()
            && self.mis_shaped.is_empty()
            && self.unfit.is_empty()
            && self.unused.is_empty()
    }
}

impl fmt::Display for Report {
    /// A line for each thing that does not fit; tolerated tensors are not listed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Missing { parameter, source } in &self.missing {
            writeln!(f, "  missing: tensor {source:?}, for parameter {parameter}")?;
        }
        for MisShaped { parameter, expected, found, sources } in &self.mis_shaped {
            writeln!(
                f,
                "  wrong shape: parameter {parameter} is {expected} in the model, {found} from {}",
                sources.join(", ")
            )?;
        }
        for Unfit { parameter, what } in &self.unfit {
            writeln!(f, "  parameter {parameter}: {what}")?;
        }
        self.unused.iter().try_for_each(|name| writeln!(f, "  unused: tensor {name:?}"))
    }
}
