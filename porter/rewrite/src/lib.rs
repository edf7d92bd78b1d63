//! Named rewrites of programs and weight maps, each one a patch with a reason.
//!
//! A [`Rewrite`] looks at a [`Port`] and proposes a [`Patch`]; applying the patch makes a new port.
//! [`Target`] says which rewrites serve which machine.

mod batched_dots_as_reduce;
mod fuse_parallel_dots;
mod linear;
mod matvec_as_reduce;
mod patch;
mod pin_state_updates;
mod rebuild;
mod roll_layers;
mod shard;
mod target;

pub use batched_dots_as_reduce::BatchedDotsAsReduce;
pub use fuse_parallel_dots::FuseParallelDots;
pub use matvec_as_reduce::MatvecAsReduce;
pub use patch::{CompilerFlag, Effect, FlagValue, Patch, Port, Rewrite};
pub use pin_state_updates::PinStateUpdates;
pub use rebuild::{Edit, Replacement, Site};
pub use roll_layers::RollLayers;
pub use shard::{Collective, Profile, Rules, RulesError, Shard, ShardError, ShardProblem, Share, Tables};
pub use target::{Applied, Target, apply};
