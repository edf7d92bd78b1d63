//! The reference executor: it runs a [`Program`](porter_ir::Program) on the host, independently of XLA.
//!
//! An [`Executor`] computes either in the types that the program says, every op rounded to its result
//! type, or in f64 throughout, which is the same program without rounding error. Tensors are Burn's;
//! matrix products and convolutions run on its CPU backend, everything else in small kernels here that
//! say what the specification says. One file an op family in `ops/`, named as in `porter-ir`.
//!
//! One device runs. Collectives within groups of one are the identity, larger groups are an error.
//!
//! Burn comes with the feature `burn`, which is on by default. Without it the crate builds in seconds, and
//! [`Executor::run`] says that nothing can be run.

#[cfg(not(feature = "burn"))]
mod absent;
mod error;
mod floats;
mod tensor;

#[cfg(not(feature = "burn"))]
pub use absent::Executor;
pub use error::ExecuteError;
#[cfg(feature = "burn")]
pub use executor::Executor;
pub use floats::Floats;
pub use tensor::Tensor;

#[cfg(feature = "burn")]
mod array;
#[cfg(feature = "burn")]
mod body;
#[cfg(feature = "burn")]
mod executor;
#[cfg(feature = "burn")]
mod failure;
#[cfg(feature = "burn")]
mod frame;
#[cfg(feature = "burn")]
mod interpreter;
#[cfg(feature = "burn")]
mod lane;
#[cfg(feature = "burn")]
mod ops;
#[cfg(feature = "burn")]
mod shapes;
