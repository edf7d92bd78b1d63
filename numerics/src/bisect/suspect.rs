//! What a search finds.

use serde::Serialize;

use crate::Measured;

/// The answer of a search.
#[derive(Clone, Debug, Serialize)]
pub struct Bisection {
    /// The program that was searched: `forward_1x24`, or a case's name before it.
    pub program: String,
    /// The modules at fault, in the order of the program. Empty where every part is within its budget.
    pub suspects: Vec<Suspect>,
    /// Parts that the model was cut into at first: its layers, and what stands around them.
    pub cuts: usize,
    /// How often a part of the port was run.
    pub runs: usize,
    /// How often an op or module was compared with the reference.
    pub comparisons: usize,
}

/// A module at fault.
#[derive(Clone, Debug, Serialize)]
pub struct Suspect {
    /// Its path.
    pub path: String,
    /// The op in it, where the search came down to one: `stablehlo.multiply`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// How its error comes about.
    pub reach: Reach,
    /// What its output was compared with.
    pub truth: Truth,
    /// The output that is furthest over its budget.
    pub measured: Measured,
    /// Where the port's ops are not the reference's: lines that begin with `-` are the reference's,
    /// those with `+` the port's.
    pub differs: Vec<String>,
    /// For accumulated error: the parts before it that bring most, each with its share of its own
    /// budget when it runs on the reference's inputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contributors: Vec<(String, f64)>,
}

/// How a module's error comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The module is over budget on the reference's own inputs: the fault is in it.
    Local,
    /// It is over budget only with the errors of the parts before it, none of which is over its own.
    Accumulated,
    /// It is over budget on the reference's own inputs, but none of its parts is.
    Spread,
}

/// What an output was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// A recorded value.
    Recorded,
    /// The reference program, run without rounding.
    Computed,
}

impl Suspect {
    /// What is known of the fault, in one sentence.
    pub fn explanation(&self) -> String {
        let is_as_built = self.truth == Truth::Recorded && self.differs.is_empty();
        let what = match self.reach {
            Reach::Local => "wrong on the reference's own inputs",
            Reach::Accumulated => {
                "over budget only with the errors that came in; no part before it is over its own"
            }
            Reach::Spread if is_as_built => {
                "wrong on the recorded inputs, though none of its parts is by itself"
            }
            Reach::Spread => "wrong on the reference's own inputs, though none of its parts is by itself",
        };
        if is_as_built && self.reach != Reach::Accumulated {
            let why = "its ops are as Porter builds the model, so the model as built, or its weights, are not the \
                       recorded ones";
            return format!("{what}; {why}");
        }
        what.to_owned()
    }
}
