//! Programs in the form that a target wants.

use porter_ir::Program;
use porter_rewrite::{Applied, Port, Shard, Target, apply};
use porter_weights::WeightMap;
use porter_zoo::{Model, Phase};

use crate::{Chosen, Opened, PipelineError, Variant};

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
    programs_of(&opened.model, phases, variant, target)
}

/// [`programs`] of a model whose weights are nowhere.
pub(crate) fn programs_of(
    model: &Model,
    phases: &[Phase],
    variant: &Variant<'_>,
    target: Target,
) -> Result<Vec<Program>, PipelineError> {
    let precision = variant.precision(target);
    Ok(phases.iter().map(|phase| model.program(phase, &precision)).collect::<Result<_, _>>()?)
}

/// Programs of a model in a variant, lowered for `target`.
pub fn lower(
    opened: &Opened,
    programs: Vec<Program>,
    variant: &Variant<'_>,
    target: Target,
) -> Result<Lowered, PipelineError> {
    lower_over(&opened.weight_map, programs, variant, target)
}

/// [`lower`] over a weight map.
fn lower_over(
    weights: &WeightMap,
    programs: Vec<Program>,
    variant: &Variant<'_>,
    target: Target,
) -> Result<Lowered, PipelineError> {
    let port = Port::new(programs, weights.clone());
    let (port, applied) = apply(&variant.rewrites(target), port)?;
    Ok(Lowered { port, applied })
}

/// [`lower_over`] laid out over the devices of a mesh, without the rewrites of a CPU, whose stacked layers
/// have no logical axes.
pub(crate) fn lower_sharded(
    weights: &WeightMap,
    programs: Vec<Program>,
    variant: &Variant<'_>,
    shard: &Shard,
) -> Result<Lowered, PipelineError> {
    let variant = Variant { rewrites: Chosen::None, ..*variant };
    let Lowered { port, mut applied } = lower_over(weights, programs, &variant, Target::Plain)?;
    let patch = shard.patch(&port)?;
    let port = patch.apply(&port)?;
    applied.push(Applied { rewrite: patch.rewrite, reason: patch.reason, effect: patch.effect });
    Ok(Lowered { port, applied })
}
