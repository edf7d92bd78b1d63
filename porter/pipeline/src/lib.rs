//! From a model's name to programs that run: what the verbs have in common.

mod engine;
mod error;
mod lower;
mod open;
mod sequences;
mod sizes;
mod text;

pub(crate) use engine::{Engine, Resident};
pub(crate) use error::PipelineError;
pub(crate) use lower::{lower, precision};
pub(crate) use open::{Opened, model, open};
pub(crate) use sequences::Sequences;
pub(crate) use sizes::Sizes;
pub(crate) use text::TextSide;
