//! # Pin state updates
//!
//! **What.** A state that is updated by `dynamic_update_slice` and read again in the same program, or in the same turn of a
//! loop, is read through an `optimization_barrier`.
//!
//! **Why.** XLA's CPU backend otherwise merges the update into its readers, evaluates it once for each, and then
//! copies the whole buffer, twice a step for each key and value cache: 15 % of a decode step of a 135 M model
//! with 512 slots, growing with the cache. Behind the barrier the update happens once, in place. CPU only: on TPU
//! the unrolled form with donated buffers is updated in place without help (`facts/aot.md` part 6).
//!
//! **Before.** `cache' = dynamic_update_slice(cache, x); y = dot(q, cache')`
//!
//! **After.** `cache' = optimization_barrier(dynamic_update_slice(cache, x)); y = dot(q, cache')`
//!
//! **Effect on the numbers.** Exact.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/performance.md, "Cache updates in place".

use porter_ir::{Op, OpId, OutputRole, Program, Value, program::Definition};

use crate::{Edit, Effect, Patch, Port, Rewrite, Site};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct PinStateUpdates;

impl Rewrite for PinStateUpdates {
    fn name(&self) -> &'static str {
        "pin_state_updates"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Exact, port);
        for (edits, program) in patch.edits.iter_mut().zip(&port.programs) {
            *edits = updates(program).map(|op| edit(program, op)).collect();
        }
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason =
            format!("{count} states are read after their update; without a barrier each is copied");
        patch
    }
}

/// The updates of states that another op of the program reads.
fn updates(program: &Program) -> impl Iterator<Item = OpId> {
    let states = program.outputs().iter().filter(|output| output.role == OutputRole::State);
    states.filter_map(|output| {
        let (op, updated) = update_of(program, output.value)?;
        let is_read = program.ops().any(|(_, data)| data.operands.contains(&updated));
        is_read.then_some(op)
    })
}

/// The `dynamic_update_slice` that a state ends as, or that each turn of a loop ends it with, and its result.
fn update_of(program: &Program, state: Value) -> Option<(OpId, Value)> {
    let Definition::Result { op, index } = program.value(state).definition else { return None };
    let data = program.op(op);
    match data.op {
        Op::DynamicUpdateSlice(_) => Some((op, state)),
        Op::While(_) => {
            let body = program.region(*data.regions.last()?);
            update_of(program, *body.results.get(index)?)
        }
        _ => None,
    }
}

fn edit(program: &Program, op: OpId) -> Edit {
    let data = program.op(op);
    let (update, operands) = (data.op.clone(), data.operands.clone());
    let replacement = move |site: &Site<'_>| {
        let operands = operands.iter().map(|&v| site.value(v)).collect::<Result<Vec<_>, _>>()?;
        let updated = site.b.push(update.clone(), &operands, &[])?;
        site.b.optimization_barrier(&updated)
    };
    Edit::one(program, op, replacement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, DType, TensorType};
    use porter_weights::WeightMap;

    fn port(read: bool) -> Port {
        let b = Builder::new("main");
        let cache = b.state("cache", TensorType::new(DType::F32, [4])).unwrap();
        let x = b.argument("x", TensorType::new(DType::F32, [1])).unwrap();
        let at = b.argument("at", TensorType::scalar(DType::I32)).unwrap();
        let updated = b.dynamic_update_slice(cache, x, &[at]).unwrap();
        b.update("cache", updated).unwrap();
        if read {
            b.result("sum", b.reduce_sum(updated, &[0]).unwrap()).unwrap();
        }
        Port::new(vec![b.finish()], WeightMap::new())
    }

    #[test]
    fn an_update_that_is_read_is_read_through_a_barrier() {
        let port = port(true);
        let pinned = PinStateUpdates.propose(&port).apply(&port).unwrap();
        let program = &pinned.programs[0];
        let reduce = program.ops().find(|(_, op)| matches!(op.op, Op::Reduce(_))).unwrap().1;
        let Definition::Result { op, .. } = program.value(reduce.operands[0]).definition else { panic!() };
        assert!(matches!(program.op(op).op, Op::OptimizationBarrier(_)));
        assert!(program.verify().is_empty());
    }

    #[test]
    fn an_update_in_every_turn_of_a_loop_is_read_through_a_barrier() {
        let b = Builder::new("main");
        let zero = b.full(TensorType::scalar(DType::I32), 0.0).unwrap();
        let cache = b.state("cache", TensorType::new(DType::F32, [4])).unwrap();
        let sum = b.full(TensorType::scalar(DType::F32), 0.0).unwrap();
        let ended = b
            .while_(
                &[zero, cache, sum],
                |b, now| b.compare(now[0], b.full_like(now[0], 4.0)?, porter_ir::Direction::Lt),
                |b, now| {
                    let x = b.reshape(now[2], [1])?;
                    let updated = b.dynamic_update_slice(now[1], x, &[now[0]])?;
                    Ok(vec![b.add_scalar(now[0], 1.0)?, updated, b.reduce_sum(updated, &[0])?])
                },
            )
            .unwrap();
        b.update("cache", ended[1]).unwrap();
        b.result("sum", ended[2]).unwrap();
        let port = Port::new(vec![b.finish()], WeightMap::new());
        let pinned = PinStateUpdates.propose(&port).apply(&port).unwrap();
        let program = &pinned.programs[0];
        let (_, barrier) = program.ops().find(|(_, op)| matches!(op.op, Op::OptimizationBarrier(_))).unwrap();
        let (_, reduce) = program.ops().find(|(_, op)| matches!(op.op, Op::Reduce(_))).unwrap();
        assert_eq!(barrier.results[0], reduce.operands[0]);
        assert!(program.verify().is_empty(), "{:?}", program.verify());
    }

    #[test]
    fn an_update_that_nothing_reads_needs_none() {
        assert!(PinStateUpdates.propose(&port(false)).is_empty());
    }
}
