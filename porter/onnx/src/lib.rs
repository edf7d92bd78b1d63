//! ONNX graphs as tensor programs.
//!
//! [`import`] makes a [`Program`] with static shapes of a [`Model`]: named sizes are bound by
//! [`Options::dims`], whole shapes by [`Options::shapes`]; what shapes depend on is computed at import.
//! An operator is one file in `ops`, which says how it is lowered and where its limits are; a model's own
//! functions are expanded. All problems are collected and reported together.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice))]
#![allow(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "all lowerings, and what they share, have one signature"
)]

mod context;
mod contrib;
mod data;
mod error;
mod fold;
mod graph;
mod help;
mod host;
mod item;
mod ops;
mod place;
mod quantised;
mod recognise;
mod recurrent;
mod refused;
mod sparse;

use std::collections::BTreeMap;

pub use data::{Recorded, Value, import_for};
use error::Fault;
pub use error::{ImportError, Problem, ProblemKind};
pub use host::{Data, Host};
use onnx_protobuf::{DataType, TensorProto};
pub use onnx_protobuf::{Error as FileError, Model};
pub use porter_ir::Program;
use porter_ir::{DType, TensorType};
pub use recognise::{Lifted, recognise};

/// What a model leaves open.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Sizes of named dimensions.
    pub dims: BTreeMap<String, usize>,
    /// Shapes of inputs, instead of those in the file.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// Inputs whose values are fixed: they become constants, and shapes may depend on them.
    pub values: BTreeMap<String, Host>,
    /// Lengths of inputs that are sequences; 0 for an optional without a value. The elements of sequence
    /// `x` are the arguments `x.0`, `x.1`, ...
    pub lengths: BTreeMap<String, usize>,
}

/// The program of a model's main graph. Inputs are arguments, large initial values weights under their
/// own names, outputs results.
pub fn import(model: &Model, options: &Options) -> Result<Program, ImportError> {
    graph::import(model, options)
}

/// The element type of programs for one of ONNX: itself, or the one that carries it where programs lack
/// it (8-bit floats without a counterpart as bits, 2-bit integers as 8-bit ones). `None` for strings and
/// complex numbers.
pub fn element_type(ty: DataType) -> Option<DType> {
    item::dtype(ty).or(item::carrier(ty))
}

/// The element type of programs that is the same as one of ONNX; `None` where programs lack it.
pub fn stored_type(ty: DataType) -> Option<DType> {
    item::dtype(ty)
}

/// Type and host bytes of a tensor, as a program takes them: little-endian, one byte for each element that
/// is narrower.
pub fn host_tensor(model: &Model, tensor: &TensorProto) -> Result<(TensorType, Vec<u8>), String> {
    graph::elements(model, tensor).map(|(ty, _, bytes)| (ty, bytes)).map_err(Fault::what)
}

/// The weights that a program of [`import`] reads, by name, as host bytes.
pub fn weights(model: &Model, program: &Program) -> Result<BTreeMap<String, (TensorType, Vec<u8>)>, String> {
    let tensors = model.proto().graph.iter().flat_map(|graph| &graph.initializer);
    let tensors: BTreeMap<&str, &TensorProto> = tensors.map(|t| (t.name(), t)).collect();
    let weights = program.inputs().iter().filter(|input| input.role == porter_ir::InputRole::Weight);
    let read = |input: &porter_ir::Input| {
        let tensor = tensors.get(input.name.as_str()).ok_or_else(|| format!("no tensor {:?}", input.name))?;
        Ok((input.name.clone(), host_tensor(model, tensor)?))
    };
    weights.map(read).collect()
}

/// The elements of an initial value of the main graph, by its name; `None` where there is none such, or programs
/// lack its element type. What [`recognise`] reads weights with.
pub fn weight(model: &Model, name: &str) -> Option<Host> {
    let tensor = model.proto().graph.as_ref()?.initializer.iter().find(|tensor| tensor.name() == name)?;
    let (ty, bytes) = host_tensor(model, tensor).ok()?;
    Host::from_bytes(ty, &bytes)
}

/// The operators that have a lowering: domain (`""` for ONNX's own) and name, sorted.
pub fn operators() -> Vec<(&'static str, &'static str)> {
    ops::ALL.iter().map(|&(domain, name, _)| (domain, name)).collect()
}
