//! The tensor program: StableHLO's ops, static shapes, roles and source paths, printed as MLIR text.

mod dtype;
mod shape;

pub use dtype::{DType, Kind, UnknownDType};
pub use shape::{Shape, TensorType};
