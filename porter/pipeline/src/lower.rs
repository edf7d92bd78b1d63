//! Programs in the form that a target wants.

use porter_ir::Program;
use porter_rewrite::{Applied, Port, Target, apply};
use porter_zoo::Phase;

use crate::{Opened, PipelineError, Variant};

/// A model's programs and weights in a target's form.
pub struct Lowered {
    /// The programs, and how their weights are made.
    pub port: Port,
    /// What was done to the programs that the zoo writes.
    pub applied: Vec<Applied>,
}

/// The programs of `phases`, as the zoo writes them in a variant's precision on `target`.
pub fn programs(
    opened: &Opened,
    phases: &[Phase],
    variant: &Variant<'_>,
    target: Target,
) -> Result<Vec<Program>, PipelineError> {
    let precision = variant.precision(target);
    Ok(phases.iter().map(|phase| opened.model.program(phase, &precision)).collect::<Result<_, _>>()?)
}

/// Programs of a model in a variant, lowered for `target`.
pub fn lower(
    opened: &Opened,
    programs: Vec<Program>,
    variant: &Variant<'_>,
    target: Target,
) -> Result<Lowered, PipelineError> {
    let port = Port::new(programs, opened.weight_map.clone());
    let (port, applied) = apply(&variant.rewrites(target), port)?;
    Ok(Lowered { port, applied })
}
