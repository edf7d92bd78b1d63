//! Compiling ahead of time: for devices that this machine does not have.
//!
//! A [`Topology`] is devices by name, as `v6e:2x4`, without a client. [`Topology::compile`] compiles for
//! them in this process; [`Compiler`] does it in a process of its own, because a compiler may abort or
//! hang and must not take its caller with it. The program of that process is the caller's: it runs
//! [`serve`], as `porter aot-worker` does.
//!
//! Nothing here knows a chip. Which topologies exist is for the caller to say (`porter-plan` does);
//! what is checked here is that the plugin made the devices that were asked for.

mod compiler;
mod memory;
mod message;
mod topology;
mod worker;

pub use compiler::{Compiled, Compiler, Job};
pub use memory::OutOfMemory;
pub use topology::{Topology, TopologyRequest};
pub use worker::serve;
