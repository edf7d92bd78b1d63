//! The tensor program: StableHLO's ops, static shapes, roles and source paths, printed as MLIR text.
//!
//! A [`Program`] mirrors one StableHLO function. It is made with a [`Builder`], which infers and
//! checks the type of every op where it is added; [`Program::verify`] checks a whole program again,
//! and [`Program::mlir`] or [`Display`](std::fmt::Display) prints what a PJRT plugin compiles.
//!
//! An op is one file in [`ops`]: a type with its attributes, an implementation of
//! [`op::Operation`], and a method of [`Builder`]. Shorthands that are made of ops (`full`,
//! `reduce_sum`, `embedding`, ...) are methods of [`Builder`] too. Ops over complex numbers (`fft`),
//! dynamic shapes, tokens and quantised types are left out, because no [`DType`] or shape here holds
//! such values.
//!
//! The crate does no IO and knows no framework, plugin or file format.

mod attribute;
mod builder;
mod dtype;
mod element;
mod entry;
mod error;
mod extract;
pub mod float;
mod ids;
mod literal;
pub mod op;
pub mod ops;
mod print;
pub mod program;
mod shape;
mod sharding;
mod sugar;
mod verify;

pub use attribute::AttributeValue;
pub use builder::Builder;
pub use dtype::{DType, Kind, UnknownDType};
pub use element::Element;
pub use entry::{Entry, Slot};
pub use error::{OpError, Result};
pub use ids::{OpId, PathId, RegionId, Value};
pub use literal::{Literal, LiteralError};
pub use ops::{Direction, DotDimensions, GatherDimensions, Op, OpKind};
pub use print::{Composites, PrintOptions, ShardingForm};
pub use program::{Input, InputRole, Output, OutputRole, Program};
pub use shape::{Shape, TensorType};
pub use sharding::{Layout, LogicalAxis, Mesh, NoMesh, Sharding};
pub use verify::Problem;
