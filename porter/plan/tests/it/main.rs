//! Estimates of what libtpu compiles, without a TPU.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
mod decode;
mod estimate;
