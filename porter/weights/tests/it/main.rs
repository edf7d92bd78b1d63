//! Integration tests: files that others wrote, good and bad, and the laws of weight maps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad;
mod casts;
mod common;
mod float8;
mod gguf;
mod gguf_out;
mod headers;
mod laws;
mod load;
mod memory;
mod mutation;
mod npz;
mod pytorch;
mod quantised;
mod sharded;
mod stream;
