//! The reference executor: it runs a [`Program`](porter_ir::Program) on the host, independently of XLA.
//!
//! An [`Executor`] computes either in the types that the program says, every op rounded to its result
//! type, or in f64 throughout, which is the same program without rounding error. Tensors are Burn's;
//! matrix products and convolutions run on its CPU backend, everything else in small kernels here that
//! say what the specification says. One file an op family in `ops/`, named as in `porter-ir`.
//!
//! One device runs. Collectives within groups of one are the identity, larger groups are an error.

mod array;
mod body;
mod error;
mod executor;
mod frame;
mod interpreter;
mod lane;
mod ops;
mod shapes;
mod tensor;

pub use error::ExecuteError;
pub use executor::{Executor, Floats};
pub use tensor::Tensor;
