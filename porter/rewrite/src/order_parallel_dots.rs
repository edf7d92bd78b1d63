//! # Order parallel dots
//!
//! **What.** Linear layers that read the same value and have large weights (`gate_proj`, `up_proj`, and their pieces) run
//! one after the other: each reads its input through an `optimization_barrier` that the result before it passes too.
//!
//! **Why on TPU.** Nothing else orders them, so the compiler may fuse two of them into one step that streams both weights,
//! or place them so that neither is fetched to vector memory ahead. One after the other, the second's weight is fetched
//! while the first is multiplied. A step of few rows is bound by HBM whichever way it goes, and is left alone; so are layers
//! whose input and results do not stay in vector memory beside the weights: results would be written out instead of being part of the
//! next product, and an input that waits for the last product takes the room of what comes before and after.
//!
//! **Before and after.** `g = x·W₀ᵀ; u = x·W₁ᵀ` becomes `g, x' = optimization_barrier(x·W₀ᵀ, x); u = x'·W₁ᵀ`.
//!
//! **Effect on the numbers.** Exact: the same products of the same values.
//!
//! **Undo.** A barrier is the identity.
//!
//! **Evidence.** docs/rewrites.md, "One large product at a time".

use std::collections::BTreeMap;

use porter_ir::{OpId, Program, Value};

use crate::{
    Edit, Effect, Patch, Port, Rewrite, Site,
    linear::{Linear, LinearWeight},
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct OrderParallelDots {
    /// The smallest weight, in bytes a device.
    pub least_bytes: usize,
    /// The fewest rows that are multiplied with it.
    pub least_rows: usize,
    /// The most that an input, a weight and a result take together, in bytes a device.
    pub most_bytes: usize,
}

impl OrderParallelDots {
    /// Sums over devices stay as they are: the compiler exchanges those of several products at once.
    fn concerns(self, weight: &LinearWeight) -> bool {
        let [_, summed] = weight.parts;
        summed <= 1 && weight.device_bytes() >= self.least_bytes
    }

    fn orders(self, program: &Program, layer: &Linear, weight: &LinearWeight) -> bool {
        let [parts, _] = weight.parts;
        let input = program.ty(layer.input).device_bytes();
        let result = layer.output.device_bytes() / parts.max(1);
        let together = input.saturating_add(result).saturating_add(weight.device_bytes());
        layer.input_rows >= self.least_rows && together <= self.most_bytes
    }
}

impl Rewrite for OrderParallelDots {
    fn name(&self) -> &'static str {
        "order_parallel_dots"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Exact, port);
        let weights = LinearWeight::all(port);
        let mut count = 0;
        for (at, (program, edits)) in port.programs.iter().zip(&mut patch.edits).enumerate() {
            let layers = weights.iter().filter(|weight| self.concerns(weight)).flat_map(|weight| {
                weight.layers.iter().filter(|(of, _, layer)| *of == at && self.orders(program, layer, weight))
            });
            let layers = layers.map(|(_, op, layer)| (*op, layer));
            for group in groups(layers) {
                count += 1;
                edits.push(edit(program, group));
            }
        }
        patch.reason = format!("{count} groups of large linear layers read one value each");
        patch
    }

    fn left_alone(&self) -> Option<String> {
        let (least, rows) = (self.least_bytes >> 20, self.least_rows);
        let most = self.most_bytes >> 20;
        Some(format!(
            "no program of {rows} rows and more with two layers over one value whose weights take {least} MiB a device each, \
             and {most} MiB at most with the value and the result"
        ))
    }
}

/// Two or more layers that read one value, in the order in which they are written.
fn groups<'a>(layers: impl Iterator<Item = (OpId, &'a Linear)>) -> Vec<Vec<(OpId, &'a Linear)>> {
    let mut layers: Vec<(OpId, &Linear)> = layers.collect();
    layers.sort_by_key(|(op, _)| *op);
    let mut by_input: BTreeMap<Value, Vec<(OpId, &Linear)>> = BTreeMap::new();
    for (op, layer) in layers {
        by_input.entry(layer.input).or_default().push((op, layer));
    }
    by_input.into_values().filter(|group| group.len() > 1).collect()
}

fn edit(program: &Program, group: Vec<(OpId, &Linear)>) -> Edit {
    let ops: Vec<OpId> = group.iter().map(|(op, _)| *op).collect();
    let results = ops.iter().flat_map(|&op| &program.op(op).results).copied().collect();
    let layers: Vec<Linear> = group.into_iter().map(|(_, layer)| layer.clone()).collect();
    let replacement = move |site: &Site<'_>| in_order(site, &layers);
    Edit { ops, results, replacement: Box::new(replacement) }
}

/// The layers' results, each behind a barrier that the next one's input passes as well.
fn in_order(site: &Site<'_>, layers: &[Linear]) -> porter_ir::Result<Vec<Value>> {
    let mut results: Vec<Value> = Vec::with_capacity(layers.len());
    for layer in layers {
        let mut input = site.value(layer.input)?;
        if let Some(before) = results.last_mut()
            && let [passed, waited] = site.b.optimization_barrier(&[*before, input])?[..]
        {
            (*before, input) = (passed, waited);
        }
        results.push(site.b.linear(input, site.value(layer.weight)?, layer.output.dtype)?);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, DType, Mesh, Op, Sharding, TensorType};
    use porter_weights::{Expr, WeightMap};

    const LARGE: OrderParallelDots = OrderParallelDots { least_bytes: 64, least_rows: 1, most_bytes: 96 };

    /// Two large layers and a small one over one value.
    fn port() -> Port {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [1, 4])).unwrap();
        let mut weights = WeightMap::new();
        for (name, rows) in [("gate_proj", 4), ("up_proj", 4), ("router", 2)] {
            let w = b.scope(name).weight("weight", TensorType::new(DType::F32, [rows, 4])).unwrap();
            weights.insert(format!("{name}.weight"), [rows, 4], Expr::source(name));
            b.result(name, b.linear(x, w, DType::F32).unwrap()).unwrap();
        }
        Port::new(vec![b.finish()], weights)
    }

    fn barriers(program: &Program) -> Vec<&porter_ir::program::OpData> {
        let barriers = program.ops().filter(|(_, op)| matches!(op.op, Op::OptimizationBarrier(_)));
        barriers.map(|(_, op)| op).collect()
    }

    #[test]
    fn the_second_large_layer_waits_for_the_first() {
        let port = port();
        let ordered = LARGE.propose(&port).apply(&port).unwrap();
        let program = &ordered.programs[0];
        assert!(program.verify().is_empty());
        let barriers = barriers(program);
        let [barrier] = barriers[..] else { panic!("{} barriers", barriers.len()) };
        let reads = |value: Value| program.ops().filter(move |(_, op)| op.operands.contains(&value)).count();
        let [first, waited] = barrier.results[..] else { panic!("two results") };
        assert_eq!(reads(waited), 1, "the second layer");
        assert_eq!(reads(barrier.operands[1]), 3, "the first layer, the barrier, the small layer");
        assert!(program.outputs().iter().any(|output| output.value == first));
        assert!(OrderParallelDots { least_bytes: 65, ..LARGE }.propose(&port).is_empty());
        assert!(OrderParallelDots { least_rows: 2, ..LARGE }.propose(&port).is_empty());
        assert!(OrderParallelDots { most_bytes: 95, ..LARGE }.propose(&port).is_empty());
    }

    #[test]
    fn sums_over_devices_are_not_kept_from_being_exchanged_together() {
        let mut port = port();
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(DType::F32, [1, 8])).unwrap();
        b.set_mesh(Mesh { axes: vec![("tensor".into(), 2)] });
        for name in ["gate_proj", "up_proj"] {
            let w = b.scope(name).weight("weight", TensorType::new(DType::F32, [4, 8])).unwrap();
            let summed = Sharding { dims: vec![vec![], vec!["tensor".into()]] };
            b.shard_input(&format!("{name}.weight"), summed).unwrap();
            b.result(name, b.linear(x, w, DType::F32).unwrap()).unwrap();
        }
        port.programs[0] = b.finish();
        assert!(LARGE.propose(&port).is_empty());
    }
}
