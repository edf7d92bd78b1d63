//! From an opened model to programs that run, as every verb that runs one does it.

use porter_ir::{DType, Program};
use porter_zoo::Phase;

use crate::{
    args::Global,
    console::Console,
    exit::Failure,
    pipeline::{Engine, Opened, Resident, lower, precision},
    progress::loading,
};

/// A model's programs on a device, in the form that the plugin's target wants.
pub(super) struct Running {
    pub(super) engine: Engine,
    /// As they were compiled, in the order of the phases that were asked for.
    pub(super) programs: Vec<Program>,
    pub(super) resident: Resident,
}

/// Starts the plugin, and brings the programs of `phases` up on it in `dtype`.
pub(super) fn bring_up(
    opened: &Opened,
    phases: &[Phase],
    dtype: DType,
    global: &Global,
    console: &Console,
) -> Result<Running, Failure> {
    let engine = Engine::start(global.plugin.as_deref(), &mut |note| console.note(note))?;
    let lowered = lower(opened, phases, precision(dtype, engine.target), engine.target)?;
    for applied in &lowered.applied {
        console.detail(&format!("{}: {}", applied.rewrite, applied.reason));
    }
    let resident = engine.bring_up(&lowered.port, &*opened.checkpoint, loading(console))?;
    console.detail(&resident.summary());
    Ok(Running { engine, programs: lowered.port.programs, resident })
}
