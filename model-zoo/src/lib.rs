//! One architecture a file, built from shared blocks.
//!
//! A [`Model`] is read from a `config.json` or a GGUF file, and gives its [`Program`]s, one for each
//! [`Phase`], and the [`WeightMap`] that says how its parameters come from a checkpoint.
//!
//! To add an architecture, write one file that reads like its paper, in the order configuration,
//! layer, forward; name in its header the paper, the Hugging Face class and the traps; and add one
//! line to `registry.rs`.
//!
//! [`Program`]: porter_ir::Program
//! [`WeightMap`]: porter_weights::WeightMap

mod architecture;
mod axes;
mod bert;
mod blocks;
mod config;
mod decoder;
mod gguf;
mod llama;
mod maxtext;
mod mistral;
mod mixtral;
mod model;
mod names;
mod program;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod registry;
mod sequence;

pub use architecture::{Dimensions, Task};
pub use config::{ConfigError, Problem, ProblemKind};
pub use gguf::GgufError;
pub use maxtext::{MaxText, MaxTextError};
pub use model::Model;
pub use program::{Phase, Precision, ProgramError, Taps};
