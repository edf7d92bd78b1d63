//! The runtime against a real plugin: the default one, or the one of the catalog that
//! `PORTER_TEST_PLUGIN` names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::float_cmp, reason = "the programs here compute exactly")]
#![allow(clippy::large_stack_arrays, reason = "arrays of a few pages")]

mod aot;
mod cache;
mod common;
mod compile;
mod donation;
mod execute;
mod memory;
mod plugins;
mod sharding;
mod threads;
