//! Programs in the form that a target wants.

use porter_ir::{Mesh, Program};
use porter_rewrite::{Applied, Collective, Port, Shard, Target, apply};
use porter_weights::WeightMap;
use porter_zoo::{Model, Phase};

use crate::{
    Chosen, Opened, PipelineError, Variant,
    meshing::{Laid, Meshing},
};

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
    let port = variant.port(programs, weights)?;
    let (port, applied) = apply(&variant.rewrites(target), port)?;
    Ok(Lowered { port, applied })
}

/// A model for the devices of a target that need not be here.
pub(crate) struct Ported {
    /// The mesh of the devices; none where it is one.
    pub mesh: Option<Mesh>,
    /// The programs, and how their weights are made.
    pub port: Port,
    /// By program, the collectives that the layout asks for.
    pub predicted: Vec<Vec<Collective>>,
    /// What was done to the programs that the zoo writes.
    pub applied: Vec<Applied>,
}

/// The programs of `phases` over `devices` TPUs. The rewrites keep the rows of each device together, and so
/// they come after the mesh.
pub(crate) fn port(
    model: &Model,
    weights: &WeightMap,
    phases: &[Phase],
    variant: &Variant<'_>,
    meshing: &Meshing,
    devices: usize,
) -> Result<Ported, PipelineError> {
    let written = variant.port(programs_of(model, phases, variant, Target::Tpu)?, weights)?;
    let mut applied = Vec::new();
    let (mesh, laid_out, predicted) = match meshing.shard(written.clone(), devices)? {
        None => (None, written, phases.iter().map(|_| Vec::new()).collect()),
        Some(Laid { shard, port, pads }) => {
            applied.extend(pads);
            let predicted = shard.collectives(&port)?;
            let patch = shard.patch(&port)?;
            let laid_out = patch.apply(&port)?;
            applied.push(Applied { rewrite: patch.rewrite, reason: patch.reason, effect: patch.effect });
            (Some(shard.mesh), laid_out, predicted)
        }
    };
    let (port, more) = apply(&variant.rewrites(Target::Tpu), laid_out)?;
    applied.extend(more);
    Ok(Ported { mesh, port, predicted, applied })
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
