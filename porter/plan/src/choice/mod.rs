//! Choosing a mesh before a compiler is asked: what a program should take on a device, and whether it fits.
//!
//! These are sums over a program as it is written. [`Estimate`](crate::Estimate) judges what the compiler made
//! of it.

mod buckets;
mod memory;
mod meshes;
mod roofline;

pub use buckets::{Buckets, Prompts, PromptsError};
pub use memory::{Memory, Verdict};
pub use meshes::meshes;
pub use roofline::Roofline;

/// What one device holds and does in one run of a program. Sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demand {
    /// What lies in memory.
    pub memory: Memory,
    /// What is read from memory and written to it: weights of products, the cache, results.
    pub traffic: f64,
    /// The operations of products.
    pub flops: f64,
    /// Collectives.
    pub exchanges: Vec<Exchange>,
}

/// Collectives that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// HLO's name: `all-reduce`, `all-gather`.
    pub kind: &'static str,
    /// The mesh axes of a group.
    pub axes: Vec<String>,
    /// The bytes that each device brings to one.
    pub bytes: f64,
    /// How many there are.
    pub count: usize,
}
