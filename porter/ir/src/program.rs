//! The program: ops in arenas, inputs and outputs with roles.

use std::collections::{HashMap, HashSet};

use crate::{LogicalAxis, Mesh, Op, OpId, PathId, RegionId, Sharding, TensorType, Value};

/// What an input is to the program's caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InputRole {
    /// A parameter of the model, resident on the device and named as in the weight map.
    Weight,
    /// Given by the caller at each run.
    Argument,
    /// Kept on the device between runs and donated to each (a KV cache buffer).
    State,
}

/// What an output is to the program's caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputRole {
    /// Handed to the caller.
    Result,
    /// The next value of the state input of the same name, written in place.
    State,
}

/// An input: an argument of the program's body.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The body argument.
    pub value: Value,
    /// What it is to the caller.
    pub role: InputRole,
    /// Its name, unique among the inputs.
    pub name: String,
    /// How it lies over the mesh.
    pub sharding: Option<Sharding>,
}

/// An output of the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The value that is returned.
    pub value: Value,
    /// What it is to the caller.
    pub role: OutputRole,
    /// Its name, unique among the outputs.
    pub name: String,
    /// How it lies over the mesh.
    pub sharding: Option<Sharding>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// Argument `index` of `region`.
    Argument {
        /// The region.
        region: RegionId,
        /// The position among its arguments.
        index: usize,
    },
    /// Result `index` of `op`.
    Result {
        /// The op.
        op: OpId,
        /// The position among its results.
        index: usize,
    },
}

/// A value's type and definition.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueData {
    /// Element type and shape.
    pub ty: TensorType,
    /// Where it comes from.
    pub definition: Definition,
    /// What its dimensions mean, where the model says so: one entry a dimension, none for one that is never
    /// split.
    pub axes: Option<Vec<Option<LogicalAxis>>>,
}

impl ValueData {
    pub(crate) const fn new(ty: TensorType, definition: Definition) -> Self {
        Self { ty, definition, axes: None }
    }
}

/// An op in place: what it is, what it reads, what it yields.
#[derive(Clone, Debug, PartialEq)]
pub struct OpData {
    /// The op and its attributes.
    pub op: Op,
    /// What it reads.
    pub operands: Vec<Value>,
    /// What it yields.
    pub results: Vec<Value>,
    /// Its nested regions, in the order of the op's specification.
    pub regions: Vec<RegionId>,
    /// The module that it came from.
    pub path: PathId,
    /// The region that holds it.
    pub parent: RegionId,
}

/// A block of ops.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Region {
    /// Its arguments.
    pub arguments: Vec<Value>,
    /// Its ops, in order of execution.
    pub ops: Vec<OpId>,
    /// What it returns.
    pub results: Vec<Value>,
    /// The region around it; none for a program's body.
    pub parent: Option<RegionId>,
    /// The op that it belongs to; none for a program's body.
    pub op: Option<OpId>,
}

/// A tensor program with static shapes: one function, its inputs and outputs named and given roles.
///
/// Values, ops, regions and paths are looked up by ids, which panics for an id of another program.
///
/// Programs are built with a [`Builder`](crate::Builder), which infers and checks every type, and
/// are not changed afterwards; rewrites build new ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub(crate) name: String,
    pub(crate) values: Vec<ValueData>,
    pub(crate) ops: Vec<OpData>,
    pub(crate) regions: Vec<Region>,
    pub(crate) paths: Vec<String>,
    pub(crate) path_ids: HashMap<String, PathId>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) mesh: Option<Mesh>,
}

impl Program {
    /// The program's name, an MLIR identifier: `prefill_128`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The body: the region whose arguments are the inputs.
    pub fn body(&self) -> RegionId {
        RegionId(0)
    }

    /// The inputs, in the order of the body's arguments.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The outputs, in the order of the body's results.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The mesh that shardings refer to.
    pub fn mesh(&self) -> Option<&Mesh> {
        self.mesh.as_ref()
    }

    /// A value's type.
    pub fn ty(&self, value: Value) -> &TensorType {
        &self.values[value.index()].ty
    }

    /// A value's type and definition.
    pub fn value(&self, value: Value) -> &ValueData {
        &self.values[value.index()]
    }

    /// The op that gives a value; none of an argument.
    pub fn giver(&self, value: Value) -> Option<&OpData> {
        match self.value(value).definition {
            Definition::Result { op, .. } => Some(self.op(op)),
            Definition::Argument { .. } => None,
        }
    }

    /// An op in place.
    pub fn op(&self, op: OpId) -> &OpData {
        &self.ops[op.index()]
    }

    /// A region.
    pub fn region(&self, region: RegionId) -> &Region {
        &self.regions[region.index()]
    }

    /// The region that a value is defined in.
    pub fn region_of(&self, value: Value) -> RegionId {
        match self.value(value).definition {
            Definition::Argument { region, .. } => region,
            Definition::Result { op, .. } => self.op(op).parent,
        }
    }

    /// Whether `inner` is `outer` or nested in it.
    pub fn encloses(&self, outer: RegionId, inner: RegionId) -> bool {
        let mut region = Some(inner);
        while let Some(id) = region {
            if id == outer {
                return true;
            }
            region = self.region(id).parent;
        }
        false
    }

    /// The values from outside that `region` reads, with all regions nested in it: each once, in the
    /// order of first use.
    pub fn captures(&self, region: RegionId) -> Vec<Value> {
        let (mut captured, mut seen) = (Vec::new(), HashSet::new());
        let mut pending = vec![region];
        while let Some(id) = pending.pop() {
            let region_data = self.region(id);
            let ops = region_data.ops.iter().map(|&op| self.op(op));
            let read = ops.clone().flat_map(|op| &op.operands).chain(&region_data.results);
            for &value in read {
                if !self.encloses(region, self.region_of(value)) && seen.insert(value) {
                    captured.push(value);
                }
            }
            pending.extend(ops.flat_map(|op| &op.regions));
        }
        captured
    }

    /// A source path's text.
    pub fn path(&self, path: PathId) -> &str {
        &self.paths[path.index()]
    }

    /// Every op of every region, in the order in which they were added.
    pub fn ops(&self) -> impl Iterator<Item = (OpId, &OpData)> {
        self.ops.iter().enumerate().map(|(i, op)| (OpId::at(i), op))
    }
}
