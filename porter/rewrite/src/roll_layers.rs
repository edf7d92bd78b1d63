//! # Roll layers
//!
//! **What.** Layers that are the same program over different weights become one `while` over stacked weights and
//! stacked states.
//!
//! **Why.** The executable has one layer instead of thirty: on the CPU it compiles several times and loads some
//! fifteen times faster, and takes less memory. Where the body reads each weight in an element-wise loop (see
//! `matvec_as_reduce`) the slice of the stacked weights is part of that loop and nothing is copied; where it reads
//! weights in dots, a layer's weights are copied first, which prefill hides behind its arithmetic. On TPU it compiles two
//! to five times faster too, but nothing is fetched to vector memory ahead of a turn: there it is on request. Where weights
//! lie split and are gathered before they are used (`fsdp`) it is the form by default there: of layers apart the compiler
//! gathers many before the first needs its own, and all of them are held.
//!
//! **Before.** `x1 = layer(x0, W0, cache0); x2 = layer(x1, W1, cache1); ...`
//!
//! **After.** `x = while i < n: layer(x, W[i], cache[i])` with `W`, `cache` stacked over a new first dimension. States
//! are updated in place, inside the stacked buffer. Values of a layer that are read outside are collected into a stacked
//! tensor.
//!
//! **Effect on the numbers.** Exact.
//!
//! **Undo.** A stacked weight is a `Stack` expression, whose inverse is one slice for each layer.
//!
//! **Evidence.** docs/performance.md, "Rolled layers"; docs/rewrites.md, "Layers as one loop".

mod analysis;
mod emit;
mod sameness;

use std::collections::HashSet;

use porter_ir::{InputRole, Op, Program, TensorType};
use porter_weights::Expr;

use crate::{Edit, Effect, Patch, Port, Rewrite};
use analysis::Layers;

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollLayers {
    /// Wherever layers are the same program.
    Alike,
    /// Where, besides, weights are gathered over a mesh before they are used.
    Gathered,
}

impl Rewrite for RollLayers {
    fn name(&self) -> &'static str {
        "roll_layers"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Exact, port);
        if *self == RollLayers::Gathered && !port.programs.iter().any(gathers_weights) {
            return patch;
        }
        let rolled: Option<Vec<Layers>> = port.programs.iter().map(Layers::find).collect();
        let Some(rolled) = rolled.filter(|rolled| agree(port, rolled)) else { return patch };
        let mut seen = HashSet::new();
        for group in rolled.iter().flat_map(|layers| &layers.weights) {
            if !seen.insert(&group.name) {
                continue;
            }
            let Some(parts) = port.exprs(&group.parts) else {
                return Patch::new(self.name(), Effect::Exact, port);
            };
            let shape = stacked(parts.len(), &group.ty).shape;
            patch.weights.push((group.name.clone(), shape, Expr::stack(parts)));
        }
        let layers = rolled.first().map_or(0, |layers| layers.count);
        patch.reason = format!("{layers} layers are one program over different weights");
        for (edits, (program, layers)) in patch.edits.iter_mut().zip(port.programs.iter().zip(rolled)) {
            let (ops, results) = (layers.all_ops(program), layers.read_outside());
            edits.push(Edit { ops, results, replacement: emit::replacement(program, layers) });
        }
        patch
    }

    fn left_alone(&self) -> Option<String> {
        let layers = "no layers that are one program over different weights";
        Some(match self {
            RollLayers::Alike => layers.to_owned(),
            RollLayers::Gathered => format!("{layers}, gathered before they are used"),
        })
    }
}

/// Whether weights lie split over a mesh and are laid out anew where they are read.
fn gathers_weights(program: &Program) -> bool {
    let is_weight = |value| program.inputs().iter().any(|i| i.role == InputRole::Weight && i.value == value);
    let mut ops = program.ops().map(|(_, data)| data);
    ops.any(|data| {
        matches!(data.op, Op::ShardingConstraint(_)) && data.operands.iter().any(|&x| is_weight(x))
    })
}

/// `count` tensors of a type as one, over a new first dimension.
fn stacked(count: usize, ty: &TensorType) -> TensorType {
    TensorType::new(ty.dtype, [&[count], &*ty.shape].concat())
}

/// True where every program stacks the same weights or none of them: a weight is needed in one form
/// only.
fn agree(port: &Port, rolled: &[Layers]) -> bool {
    let names = |layers: &Layers| layers.weights.iter().map(|g| g.parts.clone()).collect::<HashSet<_>>();
    let all: HashSet<Vec<String>> = rolled.iter().flat_map(names).collect();
    let parts: HashSet<&String> = all.iter().flatten().collect();
    port.programs.iter().zip(rolled).all(|(program, layers)| {
        let own = names(layers);
        let stacked: HashSet<&String> = own.iter().flatten().collect();
        program.inputs().iter().all(|i| stacked.contains(&i.name) || !parts.contains(&i.name))
    }) && parts.len() == all.iter().map(Vec::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, DType, Op, Program};
    use porter_weights::WeightMap;

    fn program(layers: usize, taps: bool) -> Program {
        let b = Builder::new("main");
        let ty = TensorType::new(DType::F32, [1, 4]);
        let mut x = b.argument("x", ty.clone()).unwrap();
        let at = b.argument("at", TensorType::scalar(DType::I32)).unwrap();
        let zero = b.full(TensorType::scalar(DType::I32), 0.0).unwrap();
        for i in 0..layers {
            let layer = b.at(&format!("model.layers.{i}"));
            let w = layer.scope("proj").weight("weight", TensorType::new(DType::F32, [4, 4])).unwrap();
            let y = layer.linear(x, w, DType::F32).unwrap();
            let state = layer.state(&format!("cache.{i}"), TensorType::new(DType::F32, [3, 4])).unwrap();
            let updated = layer.dynamic_update_slice(state, y, &[at, zero]).unwrap();
            b.update(&format!("cache.{i}"), updated).unwrap();
            let sum = layer.reduce_sum(updated, &[0]).unwrap();
            x = layer.add(x, layer.reshape(sum, [1, 4]).unwrap()).unwrap();
            if taps {
                b.result(&format!("hidden_states.{i}"), x).unwrap();
            }
        }
        b.result("y", b.add(x, x).unwrap()).unwrap();
        b.finish()
    }

    fn port(programs: Vec<Program>, layers: usize) -> Port {
        let mut weights = WeightMap::new();
        for i in 0..layers {
            let name = format!("model.layers.{i}.proj.weight");
            weights.insert(&name, [4, 4], Expr::source(&name));
        }
        Port::new(programs, weights)
    }

    #[test]
    fn layers_become_a_loop_with_one_weight_and_one_state() {
        for taps in [false, true] {
            let port = port(vec![program(3, taps)], 3);
            let rolled = RollLayers::Alike.propose(&port).apply(&port).unwrap();
            let program = &rolled.programs[0];
            assert!(program.verify().is_empty(), "{:?}", program.verify());
            assert_eq!(program.ops().filter(|(_, op)| matches!(op.op, Op::While(_))).count(), 1);
            assert_eq!(program.ops().filter(|(_, op)| matches!(op.op, Op::DotGeneral(_))).count(), 1);
            let inputs: HashSet<&str> = program.inputs().iter().map(|i| i.name.as_str()).collect();
            assert_eq!(inputs, HashSet::from(["x", "at", "cache.*", "model.layers.*.proj.weight"]));
            assert_eq!(program.outputs().len(), if taps { 5 } else { 2 });
            assert_eq!(rolled.weights.parameters().len(), 1);
        }
    }

    #[test]
    fn a_layer_that_differs_keeps_all_apart() {
        let b = Builder::new("main");
        let mut x = b.argument("x", TensorType::new(DType::F32, [4])).unwrap();
        for i in 0..2 {
            let layer = b.at(&format!("layers.{i}"));
            x = if i == 0 { layer.negate(x).unwrap() } else { layer.abs(x).unwrap() };
        }
        b.result("y", x).unwrap();
        assert!(RollLayers::Alike.propose(&port(vec![b.finish()], 0)).is_empty());
    }

    #[test]
    fn programs_that_cannot_all_be_rolled_are_left_alone() {
        let b = Builder::new("other");
        let w = b.weight("model.layers.0.proj.weight", TensorType::new(DType::F32, [4, 4])).unwrap();
        b.result("w", w).unwrap();
        assert!(RollLayers::Alike.propose(&port(vec![program(2, false), b.finish()], 2)).is_empty());
    }
}
