//! What a program asks of devices, before anybody has chosen a mesh.
//!
//! Layers are alike, so what is alike is kept once and counted: one mesh of a program of a hundred thousand
//! operations is judged in microseconds.

use std::collections::HashMap;

use porter_ir::{
    DType, InputRole, LogicalAxis, Op, OutputRole, Program, TensorType, Value,
    program::{Definition, OpData},
};

use super::{
    live::live_sets,
    stays::{self, Use},
};
use crate::experts::WIDE_WEIGHT;

/// The tensors of a program and where sums over split dimensions arise.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Inputs and results by what they are.
    pub(super) tensors: Vec<(Role, Named, usize)>,
    /// Activations that are held at once.
    pub(super) live: Vec<Vec<(Named, usize)>>,
    /// Ops that need a sum over devices where one of these dimensions is split.
    pub(super) sites: Vec<(Site, String, usize)>,
    /// Attention beside a cache.
    pub(super) attentions: Vec<(Attention, String, usize)>,
}

/// A tensor's type and what its dimensions mean.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) ty: TensorType,
    pub(super) axes: Vec<Option<LogicalAxis>>,
}

/// What a tensor is to the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// A weight.
    Weight {
        /// Whether a product reads all of it.
        read: bool,
        /// The ops that read it, if it could stay split for all of them.
        uses: Vec<Use>,
    },
    State,
    Argument,
    Result,
}

/// An op that sums over `dims` of `operand`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Site {
    pub(super) operand: Named,
    /// Whether the operand is a weight, which may be gathered first.
    pub(super) weight: bool,
    pub(super) dims: Vec<usize>,
    pub(super) result: Named,
    /// How many sums.
    pub(super) sums: usize,
}

/// What an attention gives, and the cache of its layer, whose rows may be split where those of the result are not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attention {
    pub(super) result: Named,
    pub(super) cache: Named,
}

impl Profile {
    /// The profile of a program as it is before it is laid out.
    pub fn of(program: &Program) -> Self {
        let mut reader = Reader { program, read: HashMap::new(), sites: HashMap::new(), order: Vec::new() };
        let state = program.inputs().iter().find(|input| input.role == InputRole::State);
        let cache = state.and_then(|input| named(program, input.value));
        let mut attentions: Vec<(Attention, String, usize)> = Vec::new();
        for &op in &program.region(program.body()).ops {
            let data = program.op(op);
            reader.site(data);
            let Some((result, cache)) = reader.mixed(data).zip(cache.clone()) else { continue };
            let attention = Attention { result, cache };
            match attentions.iter_mut().find(|(known, ..)| *known == attention) {
                Some((.., count)) => *count += 1,
                None => attentions.push((attention, program.path(data.path).to_owned(), 1)),
            }
        }
        let (tensors, live) = (reader.tensors(), live_sets(&reader));
        let Reader { mut sites, order, .. } = reader;
        let sites = order.into_iter().filter_map(|site| {
            let (path, count) = sites.remove(&site)?;
            Some((site, path, count))
        });
        Self { tensors, live, sites: sites.collect(), attentions }
    }

    /// Whether a run reads one token of each row.
    pub(super) fn one_token(&self) -> bool {
        let arguments = self.tensors.iter().filter(|(role, ..)| *role == Role::Argument);
        let mut dims = arguments.flat_map(|(_, named, _)| named.axes.iter().zip(named.ty.shape.iter()));
        dims.any(|(axis, &size)| {
            size == 1 && axis.as_ref().is_some_and(|axis| axis.name == "activation_length")
        })
    }
}

/// A value whose dimensions are named.
pub(super) fn named(program: &Program, value: Value) -> Option<Named> {
    let data = program.value(value);
    Some(Named { ty: data.ty.clone(), axes: data.axes.clone()? })
}

/// A value with or without names.
fn typed(program: &Program, value: Value) -> Named {
    let ty = program.ty(value).clone();
    named(program, value).unwrap_or_else(|| Named { axes: vec![None; ty.shape.rank()], ty })
}

pub(super) struct Reader<'a> {
    pub(super) program: &'a Program,
    /// Weights that products read.
    read: HashMap<Value, bool>,
    sites: HashMap<Site, (String, usize)>,
    order: Vec<Site>,
}

impl Reader<'_> {
    fn tensors(&self) -> Vec<(Role, Named, usize)> {
        let mut counts: HashMap<(Role, Named), usize> = HashMap::new();
        let mut order = Vec::new();
        let mut uses = stays::uses(self.program);
        let inputs = self.program.inputs().iter().map(|input| {
            let role = match input.role {
                InputRole::Weight => {
                    let uses = uses.remove(&input.value).unwrap_or_default();
                    let uses = uses.into_iter().map(|(_, of)| of).collect();
                    Role::Weight { read: self.read.contains_key(&input.value), uses }
                }
                InputRole::State => Role::State,
                InputRole::Argument => Role::Argument,
            };
            (role, typed(self.program, input.value))
        });
        let results = self.program.outputs().iter().filter(|output| output.role == OutputRole::Result);
        let results = results.map(|output| (Role::Result, typed(self.program, output.value)));
        for key in inputs.chain(results) {
            let count = counts.entry(key.clone()).or_insert(0);
            if *count == 0 {
                order.push(key);
            }
            *count += 1;
        }
        let counted = order.into_iter().map(|(role, named)| {
            let count = counts.get(&(role.clone(), named.clone())).copied().unwrap_or(0);
            (role, named, count)
        });
        counted.collect()
    }

    /// Notes an op that sums over a dimension that could be split.
    fn site(&mut self, data: &OpData) {
        let program = self.program;
        let last = |value| program.ty(value).shape.rank().saturating_sub(1);
        let (operand, dims, sums) = match (&data.op, &data.operands[..]) {
            (Op::DotGeneral(dot), &[_, rhs]) => (rhs, dot.dimensions.rhs_contracting.clone(), 1),
            (Op::Gather(_), &[table, _]) => (table, vec![0], 1),
            (Op::Reduce(reduce), &[x, _]) => (x, reduce.dimensions.clone(), 1),
            (Op::Composite(composite), &[x, ..]) => match composite.name.as_str() {
                "porter.rms_norm" => (x, vec![last(x)], 1),
                "porter.layer_norm" => (x, vec![last(x)], 2),
                "porter.experts" => return self.experts(data),
                _ => return,
            },
            _ => return,
        };
        let Some(&result) = data.results.first() else { return };
        let Some((source, operand)) = self.known(operand) else { return };
        let weight = self.is_weight(source);
        if weight && matches!(data.op, Op::DotGeneral(_)) {
            self.read.insert(source, true);
        }
        self.add(Site { operand, weight, dims, result: typed(program, result), sums }, data);
    }

    fn add(&mut self, site: Site, data: &OpData) {
        let path = || (self.program.path(data.path).to_owned(), 0);
        let entry = self.sites.entry(site.clone()).or_insert_with(path);
        if entry.1 == 0 {
            self.order.push(site);
        }
        entry.1 += 1;
    }

    /// A mixture of experts sums over experts and over what is inside them, which XLA does one after the other.
    fn experts(&mut self, data: &OpData) {
        let (&[.., gate, up, down], &[result]) = (&data.operands[..], &data.results[..]) else { return };
        let stored = |weight: Value| match self.program.giver(weight) {
            Some(data) if matches!(&data.op, Op::Composite(op) if op.name == WIDE_WEIGHT) => data.operands[0],
            _ => weight,
        };
        self.read.extend([gate, up, down].map(|weight| (stored(weight), true)));
        if let Some((_, operand)) = self.known(down) {
            let result = typed(self.program, result);
            for dim in [0, 2] {
                let (operand, result) = (operand.clone(), result.clone());
                self.add(Site { operand, weight: true, dims: vec![dim], result, sums: 1 }, data);
            }
        }
    }

    /// What an attention gives as a whole, from one op or from a row of blocks.
    fn mixed(&self, data: &OpData) -> Option<Named> {
        let attends = |data: &OpData| matches!(&data.op, Op::Composite(op) if op.name == "porter.attention");
        let joins = || {
            let blocks = data.operands.iter().filter_map(|&block| self.program.giver(block));
            matches!(data.op, Op::Concatenate(_)) && blocks.into_iter().any(attends)
        };
        let &result = data.results.first()?;
        if attends(data) || joins() { named(self.program, result) } else { None }
    }

    fn is_weight(&self, value: Value) -> bool {
        matches!(self.program.value(value).definition, Definition::Argument { .. })
    }

    /// The value that names the dimensions of `value`: itself, or one that it is made from element by element
    /// or cut out of.
    pub(super) fn known(&self, value: Value) -> Option<(Value, Named)> {
        if let Some(named) = named(self.program, value) {
            return Some((value, named));
        }
        let Definition::Result { op, index } = self.program.value(value).definition else { return None };
        match (&self.program.op(op).op, &self.program.op(op).operands[..]) {
            // A selection masks padding.
            (Op::Convert(_) | Op::Slice(_), &[x])
            | (Op::Multiply(_), &[x, _])
            | (Op::Select(_), &[_, x, _]) => self.known(x),
            (Op::Add(_), &[x, y]) => self.known(y).or_else(|| self.known(x)),
            (Op::OptimizationBarrier(_), operands) => self.known(*operands.get(index)?),
            (Op::Composite(composite), &[x, ..]) if composite.name == "porter.rotary" => self.known(x),
            _ => None,
        }
    }

    /// The scores inside an attention, `[batch, tokens, heads, keys]`, of which XLA may keep all.
    pub(super) fn scores(&self, data: &OpData) -> Option<Named> {
        let (Op::Composite(composite), &[q, k, ..]) = (&data.op, &data.operands[..]) else { return None };
        if composite.name != "porter.attention" {
            return None;
        }
        let (&[batch, tokens, heads, _], &[_, _, keys, _]) =
            (&self.program.ty(q).shape[..], &self.program.ty(k).shape[..])
        else {
            return None;
        };
        let ty = TensorType::new(DType::F32, [batch, tokens, heads, keys]);
        let mut axes = self.known(q).map_or_else(Vec::new, |(_, named)| named.axes);
        axes.resize(3, None);
        axes.push(None);
        Some(Named { ty, axes })
    }
}
