//! Which rewrites serve which machine.

use porter_ir::OpError;

use crate::{
    BatchedDotsAsReduce, Effect, FuseParallelDots, MatvecAsReduce, PinStateUpdates, Port, Rewrite, RollLayers,
};

/// A kind of machine that programs are lowered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// XLA's CPU backend.
    Cpu,
    /// Any other backend: programs as the model zoo writes them.
    Plain,
}

/// A rewrite that was applied, for manifests and `--verbose`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The rewrite's name.
    pub rewrite: &'static str,
    /// Why it applied.
    pub reason: String,
    /// What it does to the numbers.
    pub effect: Effect,
}

impl Target {
    /// The target of a PJRT platform name.
    pub fn of_platform(platform: &str) -> Self {
        if platform.eq_ignore_ascii_case("cpu") { Target::Cpu } else { Target::Plain }
    }

    /// The rewrites of this target, in the order in which they apply.
    pub fn rewrites(self) -> &'static [&'static dyn Rewrite] {
        match self {
            Target::Cpu => {
                &[&FuseParallelDots, &RollLayers, &MatvecAsReduce, &BatchedDotsAsReduce, &PinStateUpdates]
            }
            Target::Plain => &[],
        }
    }

    /// The port in this target's form, and what was done to it.
    pub fn lower(self, port: Port) -> Result<(Port, Vec<Applied>), OpError> {
        apply(self.rewrites(), port)
    }
}

/// The port with `rewrites` applied one after the other, and which of them found something to do.
pub fn apply(rewrites: &[&dyn Rewrite], port: Port) -> Result<(Port, Vec<Applied>), OpError> {
    let mut applied = Vec::new();
    let one = |port: Port, rewrite: &&dyn Rewrite| {
        let patch = rewrite.propose(&port);
        if patch.is_empty() {
            return Ok(port);
        }
        let lowered = patch.apply(&port)?;
        applied.push(Applied { rewrite: patch.rewrite, reason: patch.reason, effect: patch.effect });
        Ok(lowered)
    };
    let port = rewrites.iter().try_fold(port, one)?;
    Ok((port, applied))
}
