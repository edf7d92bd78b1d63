//! Which rewrites serve which machine.

use porter_ir::OpError;

use crate::{
    BatchedDotsAsReduce, BlockedAttention, ConvKernelsHwio, Effect, FuseParallelDots, GatheredExperts,
    GroupedExperts, MatvecAsReduce, OrderParallelDots, PinStateUpdates, Port, Rewrite, RollLayers,
    SplitWeights, ToeplitzConvolutions, WeightsInOut,
};

/// The largest weight that a TPU fetches ahead whole, in bytes: it shares vector memory (64 MiB a core on v5p and 7x,
/// 128 MiB on others) with the weight in use and with what the step computes.
const FETCHED_AHEAD: usize = 32 << 20;

/// Rows and columns of the widest matrix unit.
const MXU: usize = 256;

/// Columns of a matrix unit and lanes of a vector register.
const LANES: usize = 128;

/// Prompts of at least so many tokens take attention in a loop of blocks; shorter ones in a row of them, which compiles
/// in seconds and is faster.
const LONG_PROMPT: usize = 4096;

/// A kind of machine that programs are lowered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// XLA's CPU backend.
    Cpu,
    /// XLA's TPU backend.
    Tpu,
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
        match platform.to_ascii_lowercase().as_str() {
            "cpu" => Target::Cpu,
            "tpu" => Target::Tpu,
            _ => Target::Plain,
        }
    }

    /// The rewrites of this target, in the order in which they apply.
    pub fn rewrites(self) -> &'static [&'static dyn Rewrite] {
        match self {
            Target::Cpu => {
                const FUSE: FuseParallelDots =
                    FuseParallelDots { most_bytes: usize::MAX, least_divided_bytes: 0 };
                &[&FUSE, &RollLayers::Alike, &MatvecAsReduce, &BatchedDotsAsReduce, &PinStateUpdates]
            }
            Target::Tpu => {
                const FUSE: FuseParallelDots =
                    FuseParallelDots { most_bytes: 2 * FETCHED_AHEAD, least_divided_bytes: FETCHED_AHEAD };
                const SPLIT: SplitWeights =
                    SplitWeights { most_bytes: FETCHED_AHEAD, most_pieces: 8, tile: MXU };
                const BLOCKED: BlockedAttention = BlockedAttention { least_tokens: LONG_PROMPT };
                const ORDER: OrderParallelDots = OrderParallelDots {
                    least_bytes: FETCHED_AHEAD / 4,
                    least_rows: MXU,
                    most_bytes: 2 * FETCHED_AHEAD,
                };
                const TOEPLITZ: ToeplitzConvolutions =
                    ToeplitzConvolutions { lanes: LANES, most_columns_a_tap: 4 };
                const GATHERED: GatheredExperts =
                    GatheredExperts { most_pairs: 0.5, most_bytes: FETCHED_AHEAD };
                const GROUPED: GroupedExperts = GroupedExperts { most_pairs: 0.5, least_tokens: 256 };
                &[
                    &BLOCKED,
                    &GATHERED,
                    &GROUPED,
                    &FUSE,
                    &SPLIT,
                    &ORDER,
                    &WeightsInOut,
                    &TOEPLITZ,
                    &ConvKernelsHwio,
                    &RollLayers::Gathered,
                ]
            }
            Target::Plain => &[],
        }
    }

    /// Rewrites that serve this target where they are asked for, after its own.
    pub fn on_request(self) -> &'static [&'static dyn Rewrite] {
        match self {
            Target::Tpu => &[&RollLayers::Alike],
            Target::Cpu | Target::Plain => &[],
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
