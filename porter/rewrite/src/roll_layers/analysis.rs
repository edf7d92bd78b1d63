//! Finding layers that are the same program over different weights.

use std::collections::{BTreeMap, HashMap, HashSet};

use porter_ir::{InputRole, Op, OpId, OutputRole, Program, Sharding, TensorType, Value, program::OpData};

use super::sameness::is_same;

/// A result of a layer's op: the op's position in the layer, and the result's in the op.
pub(super) type Slot = (usize, usize);

/// What an operand of a layer's op is, in every layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A result of the same layer.
    Inside(Slot),
    /// The same value in every layer.
    Outside(Value),
    /// Carry number `.0`: a result of the layer before.
    Carried(usize),
    /// Stacked weight number `.0`.
    Weight(usize),
    /// Stacked state number `.0`.
    State(usize),
}

/// Inputs that are one stacked input.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// `model.layers.*.mlp.down_proj.weight`.
    pub(super) name: String,
    /// The names, in layer order.
    pub(super) parts: Vec<String>,
    /// The type of each.
    pub(super) ty: TensorType,
    /// How each lies over the mesh.
    pub(super) sharding: Option<Sharding>,
}

impl Group {
    /// How all of them lie over the mesh as one: layers are on every device.
    pub(super) fn stacked_sharding(&self) -> Option<Sharding> {
        let own = self.sharding.as_ref()?;
        Some(Sharding { dims: [&[Vec::new()], &own.dims[..]].concat() })
    }
}

/// What one layer hands to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carry {
    pub(super) slot: Slot,
    /// What the first layer reads.
    pub(super) initial: Value,
}

/// The layers of a program.
pub(super) struct Layers {
    /// How many layers.
    pub(super) count: usize,
    /// The ops of the first layer, which stands for all.
    pub(super) template: Vec<OpId>,
    /// What the ops of the template read, in its order.
    pub(super) reads: Vec<Vec<Read>>,
    pub(super) carries: Vec<Carry>,
    pub(super) weights: Vec<Group>,
    pub(super) states: Vec<Group>,
    /// The op that updates each state in place.
    pub(super) updates: Vec<usize>,
    /// Results that are read outside the layers: the value, its layer, its slot.
    pub(super) taken: Vec<(Value, usize, Slot)>,
    prefix: String,
}

impl Layers {
    /// The layers of `program`, if it has any that are all the same.
    pub(super) fn find(program: &Program) -> Option<Self> {
        let (prefix, ops) = by_layer(program)?;
        let template = ops.first()?.clone();
        let places = places(program, &ops);
        let mut layers = Self {
            count: ops.len(),
            reads: Vec::with_capacity(template.len()),
            template,
            carries: Vec::new(),
            weights: Vec::new(),
            states: Vec::new(),
            updates: Vec::new(),
            taken: Vec::new(),
            prefix,
        };
        let inputs: HashMap<Value, usize> =
            program.inputs().iter().enumerate().map(|(i, input)| (input.value, i)).collect();
        for position in 0..layers.template.len() {
            let same: Vec<&OpData> = ops.iter().map(|layer| program.op(layer[position])).collect();
            if !same.iter().all(|op| is_same(program, same[0], op)) {
                return None;
            }
            let reads = (0..same[0].operands.len()).map(|i| {
                let values: Vec<Value> = same.iter().map(|op| op.operands[i]).collect();
                layers.read(program, &values, &places, &inputs)
            });
            let reads = reads.collect::<Option<Vec<Read>>>()?;
            layers.reads.push(reads);
        }
        layers.find_updates(program, &places)?;
        layers.find_taken(program, &places, &ops);
        layers.weights_are_read_here_only(program, &ops).then_some(layers)
    }

    /// Every op of every layer, the first first.
    pub(super) fn all_ops(&self, program: &Program) -> Vec<OpId> {
        let body = program.region(program.body()).ops.iter().copied();
        body.filter(|&op| layer_of(program, op).is_some_and(|(prefix, _)| prefix == self.prefix)).collect()
    }

    /// The results that are read outside the layers.
    pub(super) fn read_outside(&self) -> Vec<Value> {
        self.taken.iter().map(|(value, ..)| *value).collect()
    }

    fn read(
        &mut self,
        program: &Program,
        values: &[Value],
        places: &HashMap<Value, (usize, Slot)>,
        inputs: &HashMap<Value, usize>,
    ) -> Option<Read> {
        let first = values[0];
        if values.iter().all(|v| *v == first) && !places.contains_key(&first) {
            return Some(Read::Outside(first));
        }
        if let Some(&(0, slot)) = places.get(&first) {
            let inside = values.iter().enumerate().all(|(layer, v)| places.get(v) == Some(&(layer, slot)));
            return inside.then_some(Read::Inside(slot));
        }
        if let Some(&(0, slot)) = values.get(1).and_then(|v| places.get(v)) {
            let before = |(layer, v): (usize, &Value)| places.get(v) == Some(&(layer, slot));
            return values[1..].iter().enumerate().all(before).then(|| self.carry(slot, first));
        }
        self.input(program, values, inputs)
    }

    fn carry(&mut self, slot: Slot, initial: Value) -> Read {
        let known = self.carries.iter().position(|c| c.slot == slot && c.initial == initial);
        Read::Carried(known.unwrap_or_else(|| {
            self.carries.push(Carry { slot, initial });
            self.carries.len() - 1
        }))
    }

    fn input(&mut self, program: &Program, values: &[Value], inputs: &HashMap<Value, usize>) -> Option<Read> {
        let all: Vec<_> =
            values.iter().map(|v| Some(&program.inputs()[*inputs.get(v)?])).collect::<Option<_>>()?;
        let (role, ty, sharding) = (all[0].role, program.ty(values[0]), &all[0].sharding);
        if !all.iter().all(|i| i.role == role && program.ty(i.value) == ty && i.sharding == *sharding) {
            return None;
        }
        let parts: Vec<String> = all.iter().map(|i| i.name.clone()).collect();
        let (groups, read): (_, fn(usize) -> Read) = match role {
            InputRole::Weight => (&mut self.weights, Read::Weight),
            InputRole::State => (&mut self.states, Read::State),
            InputRole::Argument => return None,
        };
        if let Some(known) = groups.iter().position(|g| g.parts == parts) {
            return Some(read(known));
        }
        groups.push(Group { name: stacked_name(&parts)?, parts, ty: ty.clone(), sharding: sharding.clone() });
        Some(read(groups.len() - 1))
    }

    /// Every state must be updated by one `dynamic_update_slice` of itself.
    fn find_updates(&mut self, program: &Program, places: &HashMap<Value, (usize, Slot)>) -> Option<()> {
        for (index, group) in self.states.iter().enumerate() {
            let next = |name: &String| {
                let is_next = |o: &&porter_ir::Output| o.role == OutputRole::State && o.name == *name;
                let next = program.outputs().iter().find(is_next)?;
                places.get(&without_constraint(program, next.value)).copied()
            };
            let nexts: Vec<(usize, Slot)> = group.parts.iter().map(next).collect::<Option<_>>()?;
            let (_, (position, _)) = nexts[0];
            let aligned = nexts.iter().enumerate().all(|(layer, &next)| next == (layer, (position, 0)));
            let in_place = matches!(program.op(self.template[position]).op, Op::DynamicUpdateSlice(_))
                && self.reads[position][0] == Read::State(index);
            if !aligned || !in_place {
                return None;
            }
            self.updates.push(position);
        }
        Some(())
    }

    /// What ops and outputs outside the layers read of them.
    fn find_taken(&mut self, program: &Program, places: &HashMap<Value, (usize, Slot)>, ops: &[Vec<OpId>]) {
        let inside: HashSet<OpId> = ops.iter().flatten().copied().collect();
        let body = program.region(program.body()).ops.iter().filter(|op| !inside.contains(op));
        let by_ops = body.flat_map(|&op| {
            let data = program.op(op);
            let captured = data.regions.iter().flat_map(|&region| program.captures(region));
            data.operands.iter().copied().chain(captured)
        });
        let results = program.outputs().iter().filter(|o| o.role == OutputRole::Result).map(|o| o.value);
        let mut taken = BTreeMap::new();
        for value in by_ops.chain(results) {
            if let Some(&(layer, slot)) = places.get(&value) {
                taken.insert(value, (layer, slot));
            }
        }
        self.taken = taken.into_iter().map(|(value, (layer, slot))| (value, layer, slot)).collect();
    }

    fn weights_are_read_here_only(&self, program: &Program, ops: &[Vec<OpId>]) -> bool {
        let inside: HashSet<OpId> = ops.iter().flatten().copied().collect();
        let groups = || self.weights.iter().chain(&self.states);
        let stacked: HashSet<&String> = groups().flat_map(|g| &g.parts).collect();
        let once = stacked.len() == groups().map(|g| g.parts.len()).sum::<usize>();
        let values: HashSet<Value> =
            program.inputs().iter().filter(|i| stacked.contains(&i.name)).map(|i| i.value).collect();
        let elsewhere = program.ops().any(|(id, op)| {
            op.parent == program.body()
                && !inside.contains(&id)
                && op.operands.iter().any(|v| values.contains(v))
        });
        once && !elsewhere && !program.outputs().iter().any(|o| values.contains(&o.value))
    }
}

/// What a value is before its place on the mesh is said.
fn without_constraint(program: &Program, value: Value) -> Value {
    match program.giver(value) {
        Some(op) if matches!(op.op, Op::ShardingConstraint(_)) => op.operands[0],
        _ => value,
    }
}

/// The ops of the body by layer, for the module list with the most of them: two layers or more, all
/// of one length.
fn by_layer(program: &Program) -> Option<(String, Vec<Vec<OpId>>)> {
    let mut lists: BTreeMap<String, BTreeMap<usize, Vec<OpId>>> = BTreeMap::new();
    for &op in &program.region(program.body()).ops {
        if let Some((prefix, index)) = layer_of(program, op) {
            lists.entry(prefix.to_owned()).or_default().entry(index).or_default().push(op);
        }
    }
    let (prefix, layers) =
        lists.into_iter().max_by_key(|(_, layers)| layers.values().map(Vec::len).sum::<usize>())?;
    let whole = layers.keys().copied().eq(0..layers.len()) && layers.len() > 1;
    let layers: Vec<Vec<OpId>> = layers.into_values().collect();
    (whole && layers.iter().all(|ops| ops.len() == layers[0].len())).then_some((prefix, layers))
}

/// `model.layers.3.mlp` → `model.layers` and 3.
fn layer_of(program: &Program, op: OpId) -> Option<(&str, usize)> {
    let path = program.path(program.op(op).path);
    let mut end = 0;
    for part in path.split('.') {
        if let Ok(index) = part.parse() {
            return Some((path.get(..end)?.trim_end_matches('.'), index));
        }
        end += part.len() + 1;
    }
    None
}

fn places(program: &Program, ops: &[Vec<OpId>]) -> HashMap<Value, (usize, Slot)> {
    let mut places = HashMap::new();
    for (layer, ops) in ops.iter().enumerate() {
        for (position, &op) in ops.iter().enumerate() {
            for (index, &value) in program.op(op).results.iter().enumerate() {
                places.insert(value, (layer, (position, index)));
            }
        }
    }
    places
}

/// `a.3.b` for every layer → `a.*.b`; none if the names differ in more than the layer.
fn stacked_name(parts: &[String]) -> Option<String> {
    let star = |(layer, name): (usize, &String)| {
        let layer = layer.to_string();
        let mut starred = false;
        let parts: Vec<&str> = name
            .split('.')
            .map(|part| {
                if !starred && part == layer {
                    starred = true;
                    "*"
                } else {
                    part
                }
            })
            .collect();
        parts.join(".")
    };
    let mut names = parts.iter().enumerate().map(star);
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacked_names_have_a_star_for_the_layer() {
        let names = |of: &[&str]| stacked_name(&of.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["a.0.b", "a.1.b"]).as_deref(), Some("a.*.b"));
        assert_eq!(names(&["a.0.b", "a.1.c"]), None);
    }
}
