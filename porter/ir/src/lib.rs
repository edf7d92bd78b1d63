//! The tensor program: StableHLO's ops, static shapes, roles and source paths, printed as MLIR text.
//!
//! A [`Program`] mirrors one StableHLO function. It is made with a [`Builder`], which infers and
//! checks the type of every op where it is added, and printed with [`Display`](std::fmt::Display).
//! The crate does no IO and knows no framework, plugin or file format.

mod builder;
mod dtype;
mod error;
mod ids;
pub mod op;
pub mod ops;
mod print;
pub mod program;
mod shape;
mod sharding;

pub use builder::Builder;
pub use dtype::{DType, Kind, UnknownDType};
pub use error::{OpError, Result};
pub use ids::{OpId, PathId, RegionId, Value};
pub use ops::Op;
pub use program::{Input, InputRole, Output, OutputRole, Program};
pub use shape::{Shape, TensorType};
pub use sharding::{Mesh, Sharding};
