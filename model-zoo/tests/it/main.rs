//! Fixture models: configs, programs, and numbers against Hugging Face's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod fixtures;
mod gguf_out;
mod hostile;
mod parity;
mod precisions;
mod quantised;
mod refusals;
mod runner;
mod variants;
