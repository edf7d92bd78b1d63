//! What a rewrite proposes, and applying it.

use porter_ir::{OpError, Program, Shape};
use porter_weights::{Expr, WeightMap};

use crate::rebuild::{Edit, rebuild};

/// A model as a target sees it: programs over one set of weights.
#[derive(Clone)]
pub struct Port {
    /// The programs: prefill buckets, decode, encode.
    pub programs: Vec<Program>,
    /// How each weight input is made from the checkpoint's tensors.
    pub weights: WeightMap,
}

/// What a rewrite does to the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Every result keeps its bits.
    Exact,
    /// The same real-number function, summed in another order or with another intermediate
    /// precision that is not lower: results differ by rounding only.
    Neutral,
    /// Another function; the rewrite's documentation says how far it may be.
    Approximate,
}

/// A proposed change: edits of each program, new weights, and why.
pub struct Patch {
    /// The rewrite's name, as in the manifest.
    pub rewrite: &'static str,
    /// Why it applies here, with the sizes that decided it.
    pub reason: String,
    /// What it does to the numbers.
    pub effect: Effect,
    /// Edits by program, in the order of [`Port::programs`].
    pub edits: Vec<Vec<Edit>>,
    /// Weights that the edits ask for: name, shape, expression.
    pub weights: Vec<(String, Shape, Expr)>,
}

impl Patch {
    /// A patch of `port` that does nothing yet.
    pub fn new(rewrite: &'static str, effect: Effect, port: &Port) -> Self {
        let edits = port.programs.iter().map(|_| Vec::new()).collect();
        Self { rewrite, reason: String::new(), effect, edits, weights: Vec::new() }
    }

    /// True where the rewrite found nothing to do.
    pub fn is_empty(&self) -> bool {
        self.edits.iter().all(Vec::is_empty)
    }

    /// The ported model with the patch applied. Weights that no program reads any more are dropped
    /// from the map.
    pub fn apply(&self, port: &Port) -> Result<Port, OpError> {
        let programs = port
            .programs
            .iter()
            .zip(&self.edits)
            .map(|(program, edits)| rebuild(program, edits))
            .collect::<Result<Vec<_>, _>>()?;
        let mut weights = port.weights.clone();
        for (name, shape, expr) in &self.weights {
            weights.insert(name.clone(), shape.clone(), expr.clone());
        }
        weights.retain(|name| programs.iter().any(|p| p.inputs().iter().any(|i| i.name == name)));
        Ok(Port { programs, weights })
    }
}

/// A rule that looks at a port and proposes a patch.
pub trait Rewrite {
    /// The name in plans and manifests.
    fn name(&self) -> &'static str;

    /// The proposed patch; an empty one where there is nothing to do.
    fn propose(&self, port: &Port) -> Patch;
}
