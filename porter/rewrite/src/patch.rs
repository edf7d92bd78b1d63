//! What a rewrite proposes, and applying it.

use porter_ir::{Layout, OpError, Program, Shape};
use porter_weights::{Expr, WeightMap, matches};

use crate::rebuild::{Edit, rebuild};

/// A model as a target sees it: programs over one set of weights.
#[derive(Clone)]
pub struct Port {
    /// The programs: prefill buckets, decode, encode.
    pub programs: Vec<Program>,
    /// What each program is compiled with, in the order of the programs.
    pub flags: Vec<Vec<CompilerFlag>>,
    /// How each weight input is made from the checkpoint's tensors.
    pub weights: WeightMap,
    /// Patterns ([`matches`](porter_weights::matches)) of the names of weights that no rewrite may make narrower.
    pub keep: Vec<String>,
}

impl Port {
    /// Programs as the model zoo writes them, compiled without flags.
    pub fn new(programs: Vec<Program>, weights: WeightMap) -> Self {
        let flags = programs.iter().map(|_| Vec::new()).collect();
        Self { programs, flags, weights, keep: Vec::new() }
    }

    /// Whether a weight keeps its type.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        self.keep.iter().any(|pattern| matches(pattern, name))
    }

    /// The expressions of these weights, if the map has all of them.
    pub(crate) fn exprs(&self, names: &[String]) -> Option<Vec<Expr>> {
        names.iter().map(|name| self.weights.resolve(name).map(|(_, _, expr)| expr.clone())).collect()
    }
}

/// A flag of XLA's compiler, for one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompilerFlag {
    /// The name, as in XLA's debug options.
    pub name: &'static str,
    /// The value.
    pub value: FlagValue,
}

/// The value of a [`CompilerFlag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FlagValue {
    Text(&'static str),
    Integer(i64),
}

impl CompilerFlag {
    /// A flag with a text.
    pub const fn text(name: &'static str, value: &'static str) -> Self {
        Self { name, value: FlagValue::Text(value) }
    }

    /// A flag with a number.
    pub const fn integer(name: &'static str, value: i64) -> Self {
        Self { name, value: FlagValue::Integer(value) }
    }
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

/// A proposed change: edits of each program or another in its place, new weights, and why.
pub struct Patch {
    /// The rewrite's name, as in the manifest.
    pub rewrite: &'static str,
    /// Why it applies here, with the sizes that decided it.
    pub reason: String,
    /// What it does to the numbers.
    pub effect: Effect,
    /// Edits by program, in the order of [`Port::programs`].
    pub edits: Vec<Vec<Edit>>,
    /// Programs that are built anew instead, likewise.
    pub replaced: Vec<Option<Program>>,
    /// Compiler flags that the edited programs want, likewise.
    pub flags: Vec<Vec<CompilerFlag>>,
    /// Weights that the edits ask for: name, shape, expression.
    pub weights: Vec<(String, Shape, Expr)>,
    /// How the edited programs lie over a mesh, likewise.
    pub layouts: Vec<Option<Layout>>,
}

impl Patch {
    /// A patch of `port` that does nothing yet.
    pub fn new(rewrite: &'static str, effect: Effect, port: &Port) -> Self {
        let edits = port.programs.iter().map(|_| Vec::new()).collect();
        let replaced = port.programs.iter().map(|_| None).collect();
        let flags = port.programs.iter().map(|_| Vec::new()).collect();
        let layouts = vec![None; port.programs.len()];
        Self { rewrite, reason: String::new(), effect, edits, replaced, flags, weights: Vec::new(), layouts }
    }

    /// True where the rewrite found nothing to do.
    pub fn is_empty(&self) -> bool {
        let edited = !self.edits.iter().all(Vec::is_empty) || self.replaced.iter().any(Option::is_some);
        !edited && self.weights.is_empty() && self.layouts.iter().all(Option::is_none)
    }

    /// The ported model with the patch applied. Weights that no program reads any more are dropped
    /// from the map.
    pub fn apply(&self, port: &Port) -> Result<Port, OpError> {
        let programs = port
            .programs
            .iter()
            .zip(self.edits.iter().zip(&self.replaced).zip(&self.layouts))
            .map(|(program, ((edits, replaced), layout))| {
                let program = rebuild(replaced.as_ref().unwrap_or(program), edits)?;
                Ok(match layout {
                    Some(layout) => program.over(layout),
                    None => program,
                })
            })
            .collect::<Result<Vec<_>, OpError>>()?;
        let mut weights = port.weights.clone();
        for (name, shape, expr) in &self.weights {
            weights.insert(name.clone(), shape.clone(), expr.clone());
        }
        weights.retain(|name| programs.iter().any(|p| p.inputs().iter().any(|i| i.name == name)));
        let both = |(old, new): (&Vec<CompilerFlag>, &Vec<CompilerFlag>)| [&old[..], &new[..]].concat();
        let flags = port.flags.iter().zip(&self.flags).map(both).collect();
        Ok(Port { programs, flags, weights, keep: port.keep.clone() })
    }
}

/// A rule that looks at a port and proposes a patch.
pub trait Rewrite {
    /// The name in plans and manifests.
    fn name(&self) -> &'static str;

    /// The proposed patch; an empty one where there is nothing to do.
    fn propose(&self, port: &Port) -> Patch;

    /// What it looks for, to be said where it finds nothing; none where nobody would miss it.
    fn left_alone(&self) -> Option<String> {
        None
    }
}
