//! # Fuse parallel dots
//!
//! **What.** Linear layers that read the same value (`q_proj`, `k_proj`, `v_proj`; `gate_proj`,
//! `up_proj`) become one product with their weights stacked, and slices of its result.
//!
//! **Why.** Small products cost more to start than to compute: in the one-row form of `matvec_as_reduce` the
//! fused layers are 10-20 % faster. In prefill it changes nothing. On TPU the result of a fused product is one
//! buffer whose parts are read as they lie; apart, the compiler may transpose the weights of queries and keys to suit
//! what reads them. Weights that are large by themselves gain nothing and stay apart, and so do small ones whose
//! rows are divided over devices: cutting each device's results apart again is a copy that costs more than it saves.
//!
//! **Before.** `q = x·Wqᵀ; k = x·Wkᵀ; v = x·Wvᵀ`
//!
//! **After.** `qkv = x·[Wq; Wk; Wv]ᵀ; q, k, v = qkv[..., 0:a], qkv[..., a:b], qkv[..., b:c]`. Where rows are divided
//! over a mesh, the stacked weight has each device's rows of all three together, so that a device's results are its own.
//!
//! **Effect on the numbers.** Neutral: each output element is the same sum of the same products; the
//! compiler may order the additions of a larger product differently.
//!
//! **Undo.** The stacked weight is a `Concat` expression, whose inverse is one `Slice` for each part.
//!
//! **Evidence.** docs/performance.md, "Fused projections".

use std::collections::{HashMap, HashSet};

use porter_ir::{
    Builder, DType, Input, InputRole, Op, OpId, Program, Result, Shape, Sharding, TensorType, Value,
    program::Definition,
};
use porter_weights::Expr;

use crate::{
    Edit, Effect, Patch, Port, Rewrite, Site,
    linear::{linear, parts, sharded_weight},
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct FuseParallelDots {
    /// The largest stacked weight, in bytes a device.
    pub most_bytes: usize,
    /// The smallest stacked weight whose rows are divided over devices, in bytes a device.
    pub least_divided_bytes: usize,
}

impl Rewrite for FuseParallelDots {
    fn name(&self) -> &'static str {
        "fuse_parallel_dots"
    }

    fn propose(&self, port: &Port) -> Patch {
        let candidates: Vec<Vec<Group>> = port.programs.iter().map(groups).collect();
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        let mut seen = HashSet::new();
        for group in candidates.iter().flatten() {
            let least = if group.parts[0] > 1 { self.least_divided_bytes } else { 0 };
            let fits = (least..=self.most_bytes).contains(&group.device_bytes());
            if !fits || !seen.insert(&group.weights) || !agreed(port, &candidates, &group.weights) {
                continue;
            }
            let Some(weights) = port.exprs(&group.weights) else { continue };
            let name = fused_name(&group.weights);
            for (edits, groups) in patch.edits.iter_mut().zip(&candidates) {
                edits.extend(groups.iter().filter(|g| g.weights == group.weights).map(|g| g.edit(&name)));
            }
            patch.weights.push((name, group.fused_shape(), group.fused(weights)));
        }
        patch.reason = format!("{} groups of linear layers read one value each", patch.weights.len());
        patch
    }

    fn left_alone(&self) -> Option<String> {
        Some(format!(
            "no layers over one value with weights of at most {} MiB a device together",
            self.most_bytes >> 20
        ))
    }
}

/// Linear layers of one program over one input.
struct Group {
    ops: Vec<OpId>,
    results: Vec<Value>,
    weights: Vec<String>,
    rows: Vec<usize>,
    input: Value,
    columns: usize,
    dtype: DType,
    output: DType,
    sharding: Option<Sharding>,
    /// Devices that share the rows of each weight, and those that share the columns.
    parts: [usize; 2],
}

impl Group {
    fn fused_shape(&self) -> Shape {
        Shape::new([self.rows.iter().sum(), self.columns])
    }

    fn device_bytes(&self) -> usize {
        let elements = self.fused_shape().elements() / self.parts.iter().product::<usize>().max(1);
        elements.saturating_mul(self.dtype.bits()) / 8
    }

    /// The stacked weight: of each device's rows those of all weights one after the other.
    fn fused(&self, weights: Vec<Expr>) -> Expr {
        let [parts, _] = self.parts;
        if parts == 1 {
            return Expr::concat(weights, 0);
        }
        let apart = weights.into_iter().zip(&self.rows);
        let apart = apart.map(|(expr, rows)| expr.reshape([parts, rows / parts, self.columns]));
        Expr::concat(apart.collect::<Vec<_>>(), 1).reshape(self.fused_shape())
    }

    fn edit(&self, fused: &str) -> Edit {
        let (fused, input, output) = (fused.to_owned(), self.input, self.output);
        let (rows, sharding, [parts, _]) = (self.rows.clone(), self.sharding.clone(), self.parts);
        let ty = TensorType::new(self.dtype, self.fused_shape());
        let replacement = move |site: &Site<'_>| {
            let weight = sharded_weight(site, &fused, ty.clone(), sharding.as_ref())?;
            let all = site.b.linear(site.value(input)?, weight, output)?;
            cut(&site.b, all, &rows, parts)
        };
        Edit { ops: self.ops.clone(), results: self.results.clone(), replacement: Box::new(replacement) }
    }
}

/// The results of the layers from that of the stacked one.
fn cut(b: &Builder, all: Value, rows: &[usize], parts: usize) -> Result<Vec<Value>> {
    let mut outer = b.shape(all).to_vec();
    let width = outer.pop().unwrap_or(1);
    let (all, last) = if parts == 1 {
        (all, outer.len())
    } else {
        (b.reshape(all, [&outer[..], &[parts, width / parts]].concat())?, outer.len() + 1)
    };
    let mut start = 0;
    let slice = |rows: &usize| {
        start += rows / parts;
        let own = b.slice_dim(all, last, start - rows / parts, start)?;
        b.reshape(own, [&outer[..], &[*rows]].concat())
    };
    rows.iter().map(slice).collect()
}

/// Every group of two or more linear layers of `program` that could be fused.
fn groups(program: &Program) -> Vec<Group> {
    let weights: HashMap<Value, &Input> =
        program.inputs().iter().filter(|i| i.role == InputRole::Weight).map(|i| (i.value, i)).collect();
    let mut uses: HashMap<Value, usize> = HashMap::new();
    for value in program.ops().flat_map(|(_, op)| &op.operands) {
        *uses.entry(*value).or_default() += 1;
    }

    let mut groups: Vec<Group> = Vec::new();
    let mut by_key = HashMap::new();
    for &id in &program.region(program.body()).ops {
        let data = program.op(id);
        let Some(layer) = linear(program, data) else { continue };
        let used_once = uses.get(&layer.weight) == Some(&1);
        let Some(&weight) = weights.get(&layer.weight).filter(|_| used_once) else { continue };
        let parts = parts(program, weight);
        if !layer.rows.is_multiple_of(parts[0]) {
            continue;
        }
        let input = program.ty(layer.input).dtype;
        let types = (input, layer.output.dtype, layer.dtype);
        let key = (unconverted(program, layer.input), types, &weight.sharding);
        let index = *by_key.entry(key).or_insert_with(|| {
            groups.push(Group {
                ops: Vec::new(),
                results: Vec::new(),
                weights: Vec::new(),
                rows: Vec::new(),
                input: layer.input,
                columns: layer.columns,
                dtype: layer.dtype,
                output: layer.output.dtype,
                sharding: weight.sharding.clone(),
                parts,
            });
            groups.len() - 1
        });
        let group = &mut groups[index];
        group.ops.push(id);
        group.results.extend(&data.results);
        group.weights.push(weight.name.clone());
        group.rows.push(layer.rows);
    }
    groups.retain(|g| g.ops.len() > 1);
    groups
}

/// What `value` was converted from: layers that each round one value to their own type read one value.
fn unconverted(program: &Program, value: Value) -> Value {
    let Definition::Result { op, .. } = program.value(value).definition else { return value };
    let data = program.op(op);
    match (&data.op, &data.operands[..]) {
        (Op::Convert(_), &[source]) => source,
        _ => value,
    }
}

/// True where every program that reads any of `weights` has them as one group: only then the
/// separate weights are not needed beside the stacked one.
fn agreed(port: &Port, candidates: &[Vec<Group>], weights: &[String]) -> bool {
    port.programs.iter().zip(candidates).all(|(program, groups)| {
        groups.iter().any(|g| g.weights == weights)
            || !program.inputs().iter().any(|i| weights.contains(&i.name))
    })
}

/// `a.q_proj.weight`, `a.k_proj.weight` → `a.q_proj+k_proj.weight`.
fn fused_name(names: &[String]) -> String {
    let parts: Vec<Vec<&str>> = names.iter().map(|n| n.split('.').collect()).collect();
    let shortest = parts.iter().map(Vec::len).min().unwrap_or(0);
    let same = |index: &dyn Fn(&[&str]) -> usize| {
        parts.windows(2).all(|pair| pair[0][index(&pair[0])] == pair[1][index(&pair[1])])
    };
    let prefix = (0..shortest).take_while(|&i| same(&|_| i)).count();
    let suffix = (1..=shortest - prefix).take_while(|&i| same(&|p: &[&str]| p.len() - i)).count();
    let middle: Vec<String> = parts.iter().map(|p| p[prefix..p.len() - suffix].join(".")).collect();
    let mut name = parts[0][..prefix].to_vec();
    let middle = middle.join("+");
    name.push(&middle);
    name.extend(&parts[0][parts[0].len() - suffix..]);
    name.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::Mesh;
    use porter_weights::WeightMap;

    const ALL: FuseParallelDots = FuseParallelDots { most_bytes: usize::MAX, least_divided_bytes: 0 };

    fn port() -> Port {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [1, 4])).unwrap();
        let attn = b.at("layers.0.attn");
        let mut map = WeightMap::default();
        let mut outputs = Vec::new();
        for (name, rows) in [("q_proj", 6), ("k_proj", 2)] {
            let scope = attn.scope(name);
            let w = scope.weight("weight", TensorType::new(DType::F32, [rows, 4])).unwrap();
            map.insert(format!("layers.0.attn.{name}.weight"), [rows, 4], Expr::source(name));
            outputs.push((name, scope.linear(x, w, DType::F32).unwrap()));
        }
        for (name, value) in outputs {
            b.result(name, value).unwrap();
        }
        Port::new(vec![b.finish()], map)
    }

    #[test]
    fn two_layers_over_one_input_become_one() {
        let port = port();
        let patch = ALL.propose(&port);
        let fused = patch.apply(&port).unwrap();
        let dots = fused.programs[0].ops().filter(|(_, op)| matches!(op.op, Op::DotGeneral(_))).count();
        assert_eq!(dots, 1);
        let name = "layers.0.attn.q_proj+k_proj.weight";
        let expected = Expr::concat([Expr::source("q_proj"), Expr::source("k_proj")], 0);
        assert_eq!(fused.weights.resolve(name), Some((name, &Shape::new([8, 4]), &expected)));
        let inputs: Vec<&str> = fused.programs[0].inputs().iter().map(|i| i.name.as_str()).collect();
        assert_eq!(inputs, ["x", name]);
        assert_eq!(fused.weights.parameters().len(), 1);
    }

    #[test]
    fn a_program_that_reads_one_of_them_alone_keeps_them_apart() {
        let mut port = port();
        let b = Builder::new("other");
        let q = "layers.0.attn.q_proj.weight";
        let w = b.weight(q, TensorType::new(DType::F32, [6, 4])).unwrap();
        b.result("w", w).unwrap();
        port.programs.push(b.finish());
        port.flags.push(Vec::new());
        assert!(ALL.propose(&port).is_empty());
    }

    #[test]
    fn a_devices_rows_of_all_layers_lie_together() {
        let mut port = port();
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [1, 4])).unwrap();
        b.set_mesh(Mesh { axes: vec![("tensor".into(), 2)] });
        for (name, rows) in [("q_proj", 6), ("k_proj", 2)] {
            let full = format!("layers.0.attn.{name}.weight");
            let w = b.weight(&full, TensorType::new(DType::F32, [rows, 4])).unwrap();
            b.shard_input(&full, Sharding { dims: vec![vec!["tensor".into()], vec![]] }).unwrap();
            b.result(name, b.linear(x, w, DType::F32).unwrap()).unwrap();
        }
        port.programs = vec![b.finish()];
        assert!(FuseParallelDots { least_divided_bytes: 65, ..ALL }.propose(&port).is_empty());
        assert!(!FuseParallelDots { least_divided_bytes: 64, ..ALL }.propose(&port).is_empty());
        let fused = ALL.propose(&port).apply(&port).unwrap();
        let (name, _, expr) = fused.weights.resolve("layers.0.attn.q_proj+k_proj.weight").unwrap();
        let parts = [Expr::source("q_proj").reshape([2, 3, 4]), Expr::source("k_proj").reshape([2, 1, 4])];
        assert_eq!(*expr, Expr::concat(parts, 1).reshape([8, 4]));
        let input = fused.programs[0].inputs().iter().find(|i| i.name == name).unwrap();
        assert!(input.sharding.is_some());
        assert!(fused.programs[0].verify().is_empty());
    }

    #[test]
    fn weights_that_are_large_together_stay_apart() {
        assert!(FuseParallelDots { most_bytes: 8 * 4 * 4 - 1, ..ALL }.propose(&port()).is_empty());
    }
}
