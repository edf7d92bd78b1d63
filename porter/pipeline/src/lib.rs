//! From a model's name to programs that run and are checked: what the verbs have in common.
//!
//! [`open`] finds a model, [`Engine`] starts a plugin, [`bring_up`] compiles programs in a [`Variant`]
//! and loads their weights, and [`check`] compares what they give with a reference. [`Ahead`] compiles for
//! TPUs that are not there.

mod ahead;
pub mod artefact;
mod bring_up;
pub mod check;
mod configured;
pub mod convert;
mod engine;
mod error;
mod lower;
mod meshing;
mod observer;
pub mod onnx;
mod open;
mod plan;
mod search;
mod sequences;
mod sizes;
mod text;
mod variant;

pub use ahead::{Ahead, Answer, Answers, Fitting, Job, compiler_for, phases};
pub use bring_up::{Running, bring_up, bring_up_programs};
pub use configured::{Configured, open_config};
pub use engine::{Compilable, Engine, Resident};
pub use error::PipelineError;
pub use lower::{Lowered, lower, programs};
pub use meshing::Meshing;
pub use observer::{Observer, Silent};
pub use open::{Opened, checkpoint, model, open, open_with, weight_map};
pub use plan::{Candidate, GraphPlan, Objective, Padding, Plan, PlannedProgram, Planner};
pub use search::{Narrow, Search, Trial};
pub use sequences::Sequences;
pub use sizes::Sizes;
pub use text::TextSide;
pub(crate) use variant::cache_error;
pub use variant::{Chosen, Quantize, Variant};
