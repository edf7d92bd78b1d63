//! From an opened model to programs that run, as every verb that runs one does it.

use porter_ir::Program;
use porter_weights::Loaded;
use porter_zoo::Phase;

use crate::{
    Compilable, Engine, Observer, Opened, PipelineError, Resident, Variant,
    lower::{lower, lower_sharded, programs},
};

/// A model's programs on a device, in the form that a variant has on the plugin's target.
pub struct Running {
    /// As they were compiled, in the order of the phases that were asked for.
    pub programs: Vec<Program>,
    /// Compiled and bound to their weights, likewise.
    pub resident: Resident,
}

/// Brings the programs of `phases` up on an engine.
pub fn bring_up(
    engine: &Engine,
    opened: &Opened,
    phases: &[Phase],
    variant: &Variant<'_>,
    observer: &dyn Observer,
) -> Result<Running, PipelineError> {
    let programs = programs(opened, phases, variant, engine.target)?;
    bring_up_programs(engine, opened, programs, variant, observer)
}

/// Brings programs of a model up on an engine.
pub fn bring_up_programs(
    engine: &Engine,
    opened: &Opened,
    programs: Vec<Program>,
    variant: &Variant<'_>,
    observer: &dyn Observer,
) -> Result<Running, PipelineError> {
    let lowered = match &engine.shard {
        None => lower(opened, programs, variant, engine.target)?,
        Some(shard) => lower_sharded(&opened.weight_map, programs, variant, shard)?,
    };
    for applied in &lowered.applied {
        observer.detail(&format!("{}: {}", applied.rewrite, applied.reason));
    }
    let port = lowered.port;
    let programs = Compilable::all(&port);
    let loaded = |loaded: Loaded<'_>| observer.loaded(loaded);
    let resident = engine.bring_up(&programs, &port.weights, &*opened.checkpoint, loaded)?;
    observer.detail(&resident.summary());
    Ok(Running { programs: port.programs, resident })
}
