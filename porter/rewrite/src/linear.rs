//! Recognising linear layers.

use std::collections::{BTreeMap, HashMap};

use porter_ir::{
    DType, Input, InputRole, LogicalAxis, Op, OpId, Program, Result, Sharding, TensorType, Value,
    ops::{DotDimensions, DotGeneral},
    program::OpData,
};

use crate::{Port, Site};

/// The parts of `x[..., in] · w[out, in]ᵀ`.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// `x`.
    pub(crate) input: Value,
    /// `w`.
    pub(crate) weight: Value,
    /// The rows of `x`.
    pub(crate) input_rows: usize,
    /// `out`.
    pub(crate) rows: usize,
    /// `in`.
    pub(crate) columns: usize,
    /// The element type of `w`.
    pub(crate) dtype: DType,
    /// The type of the product.
    pub(crate) output: TensorType,
}

impl Linear {
    /// True if `x` is one row.
    pub(crate) fn is_one_row(&self) -> bool {
        self.input_rows == 1
    }
}

/// The parts of `data` if it is a linear layer.
pub(crate) fn linear(program: &Program, data: &OpData) -> Option<Linear> {
    let (Op::DotGeneral(DotGeneral { dimensions, .. }), &[input, weight], &[result]) =
        (&data.op, &data.operands[..], &data.results[..])
    else {
        return None;
    };
    let last = program.ty(input).shape.rank().checked_sub(1)?;
    let expected =
        DotDimensions { lhs_contracting: vec![last], rhs_contracting: vec![1], ..DotDimensions::default() };
    let ty = program.ty(weight);
    let &[rows, columns] = &ty.shape[..] else { return None };
    (*dimensions == expected).then(|| Linear {
        input,
        weight,
        input_rows: program.ty(input).shape.elements() / columns.max(1),
        rows,
        columns,
        dtype: ty.dtype,
        output: program.ty(result).clone(),
    })
}

/// The parts of an op that is a linear layer of this weight.
pub(crate) fn layer_of(program: &Program, op: OpId, weight: Value) -> Option<Linear> {
    let only = |layer: &Linear| layer.weight == weight && layer.input != weight;
    linear(program, program.op(op)).filter(only)
}

/// A matrix that linear layers read and nothing else does, in any program.
pub(crate) struct LinearWeight {
    pub(crate) name: String,
    /// `out`.
    pub(crate) rows: usize,
    /// `in`.
    pub(crate) columns: usize,
    pub(crate) dtype: DType,
    /// What its dimensions mean.
    pub(crate) axes: Option<Vec<Option<LogicalAxis>>>,
    /// How it lies over the mesh, and the parts that its rows and its columns are in.
    pub(crate) sharding: Option<Sharding>,
    pub(crate) parts: [usize; 2],
    /// The layers, with the positions of their programs.
    pub(crate) layers: Vec<(usize, OpId, Linear)>,
}

impl LinearWeight {
    /// Every such weight of a port, by name.
    pub(crate) fn all(port: &Port) -> Vec<Self> {
        Self::read_as(port, |program, op, weight| Some((op, layer_of(program, op, weight)?)))
    }

    /// Every such weight and those that layers read gathered over a mesh, by name.
    pub(crate) fn all_and_gathered(port: &Port) -> Vec<Self> {
        Self::read_as(port, |program, op, weight| {
            let (&Op::ShardingConstraint(_), &[whole]) = (&program.op(op).op, &program.op(op).results[..])
            else {
                return Some((op, layer_of(program, op, weight)?));
            };
            let mut readers = program.ops().filter(|(_, data)| data.operands.contains(&whole));
            let (reader, _) = readers.next().filter(|_| readers.next().is_none())?;
            Some((reader, layer_of(program, reader, whole)?))
        })
    }

    fn read_as(port: &Port, reader: impl Fn(&Program, OpId, Value) -> Option<(OpId, Linear)>) -> Vec<Self> {
        let weights = read_only_as(port, reader).into_iter();
        let of = |(program, input, read): ReadWeight<'_, (OpId, Linear)>| {
            let layers = read.into_iter().map(|(at, _, (op, layer))| (at, op, layer)).collect();
            Some(Self { layers, ..Self::of(program, input)? })
        };
        weights.filter_map(of).collect()
    }

    fn of(program: &Program, input: &Input) -> Option<Self> {
        let ty = program.ty(input.value);
        let &[rows, columns] = &ty.shape[..] else { return None };
        Some(Self {
            name: input.name.clone(),
            rows,
            columns,
            dtype: ty.dtype,
            axes: program.value(input.value).axes.clone(),
            sharding: input.sharding.clone(),
            parts: parts(program, input),
            layers: Vec::new(),
        })
    }

    /// Bytes of a device's part.
    pub(crate) fn device_bytes(&self) -> usize {
        let bits = self.rows.saturating_mul(self.columns).saturating_mul(self.dtype.bits());
        bits / 8 / self.devices()
    }

    /// How many devices share it.
    pub(crate) fn devices(&self) -> usize {
        self.parts.iter().product::<usize>().max(1)
    }
}

/// In how many parts the rows and the columns of a matrix lie over the mesh.
pub(crate) fn parts(program: &Program, input: &Input) -> [usize; 2] {
    let size = |name: &String| {
        let axis = program.mesh().and_then(|mesh| mesh.axes.iter().find(|(axis, _)| axis == name));
        axis.map_or(1, |(_, size)| *size)
    };
    let axes = |dim: usize| input.sharding.as_ref().and_then(|sharding| sharding.dims.get(dim));
    [0, 1].map(|dim| axes(dim).map_or(1, |axes| axes.iter().map(size).product()))
}

/// A weight input of the new program that lies over the mesh as `sharding` says.
pub(crate) fn sharded_weight(
    site: &Site<'_>,
    name: &str,
    ty: TensorType,
    sharding: Option<&Sharding>,
) -> Result<Value> {
    let weight = site.weight(name, ty)?;
    if let Some(sharding) = sharding {
        site.b.shard_input(name, sharding.clone())?;
    }
    Ok(weight)
}

/// The first program of a weight, the weight, and its readers with the positions of their programs.
pub(crate) type ReadWeight<'a, R> = (&'a Program, &'a Input, Vec<(usize, OpId, R)>);

/// The weights of which `reader` knows every op that reads them, in any program, and that none returns, by name.
pub(crate) fn read_only_as<R>(
    port: &Port,
    reader: impl Fn(&Program, OpId, Value) -> Option<R>,
) -> Vec<ReadWeight<'_, R>> {
    let mut found: BTreeMap<&str, Option<ReadWeight<'_, R>>> = BTreeMap::new();
    for (at, program) in port.programs.iter().enumerate() {
        let reads = reads(program);
        for input in program.inputs().iter().filter(|input| input.role == InputRole::Weight) {
            let returned = program.outputs().iter().any(|output| output.value == input.value);
            let ops = reads.get(&input.value).map_or(&[][..], Vec::as_slice);
            let readers = ops.iter().map(|&op| Some((at, op, reader(program, op, input.value)?)));
            let readers: Option<Vec<_>> = if returned { None } else { readers.collect() };
            let known = found.entry(&input.name).or_insert_with(|| Some((program, input, Vec::new())));
            match (known.as_mut(), readers) {
                (Some((.., all)), Some(readers)) => all.extend(readers),
                _ => *known = None,
            }
        }
    }
    found.into_values().flatten().filter(|(.., readers)| !readers.is_empty()).collect()
}

/// The ops that read each value.
pub(crate) fn reads(program: &Program) -> HashMap<Value, Vec<OpId>> {
    let mut reads: HashMap<Value, Vec<OpId>> = HashMap::new();
    for (id, data) in program.ops() {
        for &operand in &data.operands {
            reads.entry(operand).or_default().push(id);
        }
    }
    reads
}
