//! Which values a program holds at once, in the order in which it is written.
//!
//! A value that is only seen in another way (reshaped, cut, converted) is held as what it is made from. What
//! element-wise ops give is taken to be fused into what reads it.

use std::collections::{HashMap, HashSet};

use porter_ir::{LogicalAxis, Op, OpId, TensorType, Value, program::Definition};

use super::profile::{Named, Reader};
use crate::experts::WIDE_WEIGHT;

/// Values that are held at once, and how many there are of each kind; every set that occurs, once.
pub(super) fn live_sets(reader: &Reader<'_>) -> Vec<Vec<(Named, usize)>> {
    let life = Life::of(reader);
    let (mut live, mut sets, mut seen) = (HashMap::<Named, usize>::new(), Vec::new(), HashSet::new());
    let program = reader.program;
    for (at, &op) in program.region(program.body()).ops.iter().enumerate() {
        for named in life.born.get(&op).into_iter().flatten() {
            *live.entry(named.clone()).or_default() += 1;
        }
        let scores = reader.scores(program.op(op)).map(|scores| (scores, 2));
        if life.born.contains_key(&op) || scores.is_some() {
            let mut set: Vec<(Named, usize)> =
                live.iter().map(|(named, &count)| (named.clone(), count)).chain(scores).collect();
            set.sort_by_cached_key(|(named, _)| format!("{named:?}"));
            if seen.insert(set.clone()) {
                sets.push(set);
            }
        }
        for named in life.dies.get(&at).into_iter().flatten() {
            if let Some(count) = live.get_mut(named) {
                *count -= 1;
                if *count == 0 {
                    live.remove(named);
                }
            }
        }
    }
    sets
}

/// Where values begin and end.
#[derive(Default)]
struct Life {
    born: HashMap<OpId, Vec<Named>>,
    /// By the position of the last op that reads them.
    dies: HashMap<usize, Vec<Named>>,
}

impl Life {
    fn of(reader: &Reader<'_>) -> Self {
        let program = reader.program;
        let ops = &program.region(program.body()).ops;
        let mut held: HashMap<Value, Held> = HashMap::new();
        // What a view is a view of.
        let mut roots: HashMap<Value, Value> = HashMap::new();
        for (at, &op) in ops.iter().enumerate() {
            let data = program.op(op);
            for value in program.reads(op) {
                let root = roots.get(&value).unwrap_or(&value);
                if let Some(root) = held.get_mut(root) {
                    root.end = at;
                }
            }
            for (i, &result) in data.results.iter().enumerate() {
                let axes = reader.axes(result);
                if is_view(&data.op) {
                    let from = data.operands.get(i).or(data.operands.first()).copied().unwrap_or(result);
                    let root = roots.get(&from).copied().unwrap_or(from);
                    roots.insert(result, root);
                    if let (Some(held), Some(axes)) = (held.get_mut(&root), axes) {
                        held.name(program.ty(result), axes);
                    }
                } else if is_held(&data.op) {
                    let ty = program.ty(result).clone();
                    let named = axes.is_some();
                    let axes = axes.unwrap_or_else(|| vec![None; ty.shape.rank()]);
                    held.insert(result, Held { op, end: at, value: Named { ty, axes }, named });
                }
            }
        }
        let mut life = Self::default();
        for Held { op, end, value, .. } in held.into_values() {
            life.born.entry(op).or_default().push(value.clone());
            life.dies.entry(end).or_default().push(value);
        }
        life
    }
}

/// A value that lies in memory.
struct Held {
    op: OpId,
    /// The position of the last op that reads it.
    end: usize,
    value: Named,
    /// Whether its dimensions are known.
    named: bool,
}

impl Held {
    /// Takes the names of a view of all of it, where it has none itself.
    fn name(&mut self, view: &TensorType, axes: Vec<Option<LogicalAxis>>) {
        if !self.named && view.shape.elements() == self.value.ty.shape.elements() {
            let ty = TensorType::new(self.value.ty.dtype, view.shape.clone());
            (self.value, self.named) = (Named { ty, axes }, true);
        }
    }
}

fn is_view(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape(_)
            | Op::Slice(_)
            | Op::Convert(_)
            | Op::OptimizationBarrier(_)
            | Op::ShardingConstraint(_)
    )
}

/// Whether what an op gives lies in memory.
fn is_held(op: &Op) -> bool {
    // Widened inside the product.
    if matches!(op, Op::Composite(composite) if composite.name == WIDE_WEIGHT) {
        return false;
    }
    matches!(
        op,
        Op::DotGeneral(_)
            | Op::Convolution(_)
            | Op::ReduceWindow(_)
            | Op::Composite(_)
            | Op::Add(_)
            | Op::Gather(_)
            | Op::Concatenate(_)
            | Op::Transpose(_)
    )
}

impl Reader<'_> {
    /// What the dimensions of a value mean, where the model says so, or where it is made element by element.
    fn axes(&self, value: Value) -> Option<Vec<Option<LogicalAxis>>> {
        if let Some((_, named)) = self.known(value) {
            return (named.axes.len() == self.program.ty(value).shape.rank()).then_some(named.axes);
        }
        let Definition::Result { op, .. } = self.program.value(value).definition else { return None };
        let data = self.program.op(op);
        let alike =
            data.operands.iter().find(|&&x| self.program.ty(x).shape == self.program.ty(value).shape)?;
        matches!(data.op, Op::Composite(_)).then(|| self.known(*alike)).flatten().map(|(_, named)| named.axes)
    }
}
