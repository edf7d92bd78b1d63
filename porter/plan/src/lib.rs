//! What a TPU target is, and what a compiled program should cost on it.
//!
//! [`Target`] is a chip of the hardware table ([`CHIPS`]) and a shape: `v6e:2x4`. [`hlo::Module`] is a
//! program as the TPU compiler left it, and [`Estimate`] a static roofline of that program: no device is
//! asked, and no estimate was checked on one.
//!
//! Nothing here does IO or knows a plugin.

mod chip;
mod chips;
mod choice;
mod estimate;
pub mod hlo;
pub mod html;
mod model_flops;
mod target;
mod window;

pub use chip::{Chip, Figure, Ici, Mxu, Peak, Source, Topologies};
pub use chips::CHIPS;
pub use choice::{Buckets, Demand, Exchange, Memory, Prompts, PromptsError, Roofline, Verdict, meshes};
pub use estimate::{CAVEAT, Collectives, Estimate, Inputs, Resource, Row};
pub use model_flops::model_flops;
pub use target::{Target, TargetError};
