//! Writing layers as a loop.

use std::collections::HashMap;

use porter_ir::{Builder, DType, Direction, Program, Result, TensorType, Value};

use super::{
    analysis::{Layers, Read, Slot},
    stacked,
};
use crate::{
    linear::sharded_weight,
    rebuild::{Replacement, Site},
};

/// The loop that replaces `layers`.
pub(super) fn replacement(program: &Program, layers: Layers) -> Replacement {
    let collected: Vec<(Slot, TensorType)> = collected(program, &layers);
    let paths: Vec<String> =
        layers.template.iter().map(|&op| program.path(program.op(op).path).to_owned()).collect();
    Box::new(move |site| Loop { site, layers: &layers, paths: &paths, collected: &collected }.emit())
}

/// The slots that outside readers want of layers other than what the loop ends with.
fn collected(program: &Program, layers: &Layers) -> Vec<(Slot, TensorType)> {
    let mut collected: Vec<(Slot, TensorType)> = Vec::new();
    for &(value, layer, slot) in &layers.taken {
        if !is_final(layers, layer, slot) && !collected.iter().any(|(known, _)| *known == slot) {
            collected.push((slot, program.ty(value).clone()));
        }
    }
    collected
}

/// True if the loop's last carry is this value.
fn is_final(layers: &Layers, layer: usize, slot: Slot) -> bool {
    layer + 1 == layers.count && layers.carries.iter().any(|c| c.slot == slot)
}

struct Loop<'a> {
    site: &'a Site<'a>,
    layers: &'a Layers,
    /// The source path of each op of the template.
    paths: &'a [String],
    collected: &'a [(Slot, TensorType)],
}

/// The loop's values, in their order: the layer's number, carries, states, collected results.
struct Values<'v> {
    layer: Value,
    carries: &'v [Value],
    states: &'v [Value],
    collected: &'v [Value],
}

impl Loop<'_> {
    fn emit(&self) -> Result<Vec<Value>> {
        let (b, layers) = (&self.site.b, self.layers);
        let weights: Vec<Value> = layers
            .weights
            .iter()
            .map(|g| {
                sharded_weight(
                    self.site,
                    &g.name,
                    stacked(layers.count, &g.ty),
                    g.stacked_sharding().as_ref(),
                )
            })
            .collect::<Result<_>>()?;
        let mut init = vec![b.full(TensorType::scalar(DType::I32), 0.0)?];
        for carry in &layers.carries {
            init.push(self.site.value(carry.initial)?);
        }
        for group in &layers.states {
            init.push(b.at("").state(&group.name, stacked(layers.count, &group.ty))?);
            if let Some(sharding) = group.stacked_sharding() {
                b.shard_input(&group.name, sharding)?;
            }
        }
        for (_, ty) in self.collected {
            init.push(b.full(stacked(layers.count, ty), 0.0)?);
        }
        let count = layers.count as f64;
        let results = b.while_(
            &init,
            |b, values| b.compare(values[0], b.full(TensorType::scalar(DType::I32), count)?, Direction::Lt),
            |b, values| self.body(b, &self.values(values), &weights),
        )?;
        let results = self.values(&results);
        for (group, &state) in layers.states.iter().zip(results.states) {
            self.site.update_joined(&group.name, &group.parts, state)?;
            if let Some(sharding) = group.stacked_sharding() {
                b.shard_output(&group.name, sharding)?;
            }
        }
        layers.taken.iter().map(|&(_, layer, slot)| self.taken(&results, layer, slot)).collect()
    }

    /// One layer: the loop's next values.
    fn body(&self, b: &Builder, now: &Values<'_>, weights: &[Value]) -> Result<Vec<Value>> {
        let layers = self.layers;
        let mut states = now.states.to_vec();
        let mut results: HashMap<Slot, Value> = HashMap::new();
        let mut views: HashMap<usize, Value> = HashMap::new();
        for (position, (&op, reads)) in layers.template.iter().zip(&layers.reads).enumerate() {
            let b = &b.at(&self.paths[position]);
            if let Some(state) = layers.updates.iter().position(|&update| update == position) {
                states[state] = self.update(b, now, &results, states[state], reads)?;
                results.insert((position, 0), view(b, states[state], now.layer)?);
                continue;
            }
            let mut operands = Vec::with_capacity(reads.len());
            for &read in reads {
                operands.push(match read {
                    Read::Weight(group) => match views.get(&group) {
                        Some(&known) => known,
                        None => *views.entry(group).or_insert(view(b, weights[group], now.layer)?),
                    },
                    Read::State(group) => view(b, states[group], now.layer)?,
                    other => self.read(b, now, &results, other)?,
                });
            }
            let values = self.site.repeat(b, op, &operands)?;
            results.extend(values.into_iter().enumerate().map(|(index, value)| ((position, index), value)));
        }
        let mut next = vec![b.add_scalar(now.layer, 1.0)?];
        for carry in &layers.carries {
            next.push(self.read(b, now, &results, Read::Inside(carry.slot))?);
        }
        next.extend(states);
        for ((slot, _), &stack) in self.collected.iter().zip(now.collected) {
            let value = self.read(b, now, &results, Read::Inside(*slot))?;
            next.push(write(b, stack, value, now.layer, &[])?);
        }
        Ok(next)
    }

    /// The stacked state with this layer's part updated.
    fn update(
        &self,
        b: &Builder,
        now: &Values<'_>,
        results: &HashMap<Slot, Value>,
        state: Value,
        reads: &[Read],
    ) -> Result<Value> {
        let [_, update, starts @ ..] = reads else {
            return Err(b.error(
                "rewrite",
                &[],
                "a dynamic_update_slice reads a tensor, an update and starts",
            ));
        };
        let update = self.read(b, now, results, *update)?;
        let starts: Vec<Value> =
            starts.iter().map(|&s| self.read(b, now, results, s)).collect::<Result<_>>()?;
        write(b, state, update, now.layer, &starts)
    }

    fn read(
        &self,
        b: &Builder,
        now: &Values<'_>,
        results: &HashMap<Slot, Value>,
        read: Read,
    ) -> Result<Value> {
        let known = match read {
            Read::Inside(slot) => results.get(&slot).copied(),
            Read::Outside(value) => Some(self.site.value(value)?),
            Read::Carried(carry) => Some(now.carries[carry]),
            Read::Weight(_) | Read::State(_) => None,
        };
        known.ok_or_else(|| b.error("rewrite", &[], format!("{read:?} is not a value of this layer")))
    }

    /// What stands for a result that is read outside.
    fn taken(&self, results: &Values<'_>, layer: usize, slot: Slot) -> Result<Value> {
        let b = &self.site.b;
        if is_final(self.layers, layer, slot) {
            let carry = self.layers.carries.iter().position(|c| c.slot == slot).unwrap_or(0);
            return Ok(results.carries[carry]);
        }
        let stack = self.collected.iter().position(|(known, _)| *known == slot).unwrap_or(0);
        let stack = results.collected[stack];
        let part = b.slice_dim(stack, 0, layer, layer + 1)?;
        b.reshape(part, &b.shape(part)[1..])
    }

    fn values<'v>(&self, all: &'v [Value]) -> Values<'v> {
        let (carries, rest) = all[1..].split_at(self.layers.carries.len());
        let (states, collected) = rest.split_at(self.layers.states.len());
        Values { layer: all[0], carries, states, collected }
    }
}

/// Part `layer` of a stacked tensor.
fn view(b: &Builder, stack: Value, layer: Value) -> Result<Value> {
    let shape = b.shape(stack);
    let sizes = [&[1], &shape[1..]].concat();
    let part = b.dynamic_slice(stack, &starts(b, layer, shape.rank(), &[])?, &sizes)?;
    b.reshape(part, &shape[1..])
}

/// The stacked tensor with `update` written into part `layer` at `at`, or at its start.
fn write(b: &Builder, stack: Value, update: Value, layer: Value, at: &[Value]) -> Result<Value> {
    let update = b.reshape(update, [&[1], &*b.shape(update)].concat())?;
    b.dynamic_update_slice(stack, update, &starts(b, layer, b.shape(stack).rank(), at)?)
}

fn starts(b: &Builder, layer: Value, rank: usize, at: &[Value]) -> Result<Vec<Value>> {
    let zero = b.full(TensorType::scalar(DType::I32), 0.0)?;
    let mut starts = vec![layer];
    starts.extend(at);
    starts.resize(rank, zero);
    Ok(starts)
}
