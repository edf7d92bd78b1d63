//! Fixture models: configs, programs, and numbers against Hugging Face's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod fixtures;
mod hostile;
mod maxtext;
mod parity;
mod precisions;
mod refusals;
mod runner;
mod variants;
