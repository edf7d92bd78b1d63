//! A program as a tree of modules, each cut into units that can run one after the other.

use std::collections::{BTreeSet, HashMap, HashSet};

use porter_ir::{InputRole, OpId, Program, Value, program::Definition};

/// Ops of a program's body that are looked at as one: a module with all that is in it, the ops that
/// stand at a module's own path, or one op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// What of a module it is.
    pub(super) extent: Extent,
    /// The module's path; empty for the whole program.
    pub(super) path: String,
    /// Its ops, in the order of the body.
    pub(super) ops: Vec<OpId>,
}

/// How much of a module a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Module,
    /// Ops at its own path, between those of the modules in it.
    Own,
    /// One op.
    Op,
}

impl Unit {
    /// All of a program's body.
    pub(super) fn whole(program: &Program) -> Self {
        Self { extent: Extent::Module, path: String::new(), ops: program.region(program.body()).ops.clone() }
    }

    /// The parts of the unit, in an order in which each reads only what comes before it: the modules
    /// right below its path and the ops at its own, or, where there are no modules, op by op.
    pub(super) fn parts(&self, program: &Program) -> Vec<Unit> {
        let keys: Vec<Option<&str>> = self.ops.iter().map(|&op| self.below(program, op)).collect();
        if keys.iter().all(Option::is_none) {
            let op = |&op| Unit { extent: Extent::Op, path: self.path.clone(), ops: vec![op] };
            return self.ops.iter().map(op).collect();
        }
        let groups = group(program, &self.ops, &keys);
        let units = groups.into_iter().map(|ops| {
            let below = ops.first().and_then(|&op| self.below(program, op));
            let (extent, path) = match below {
                None => (Extent::Own, self.path.clone()),
                Some(name) if self.path.is_empty() => (Extent::Module, name.to_owned()),
                Some(name) => (Extent::Module, format!("{}.{name}", self.path)),
            };
            Unit { extent, path, ops }
        });
        in_order(program, units.collect())
    }

    /// The next name of an op's path below the unit's; `None` for an op at the unit's own path.
    fn below<'p>(&self, program: &'p Program, op: OpId) -> Option<&'p str> {
        let path = program.path(program.op(op).path);
        let rest = match self.path.as_str() {
            "" => path,
            own => path.strip_prefix(own)?.strip_prefix('.').unwrap_or_default(),
        };
        rest.split('.').next().filter(|name| !name.is_empty())
    }

    /// What the unit computes that is read outside of it, or returned, in order of definition.
    pub(super) fn outputs(&self, program: &Program, uses: &Uses) -> Vec<Value> {
        let own: HashSet<OpId> = self.ops.iter().copied().collect();
        let results = self.ops.iter().flat_map(|&op| &program.op(op).results);
        results.copied().filter(|value| uses.outside(*value, &own)).collect()
    }

    /// What the unit reads that is neither its own nor a weight, each once, in order of first use.
    pub(super) fn inputs(&self, program: &Program) -> Vec<Value> {
        let own: HashSet<OpId> = self.ops.iter().copied().collect();
        let weights: HashSet<Value> =
            program.inputs().iter().filter(|i| i.role == InputRole::Weight).map(|i| i.value).collect();
        let (mut inputs, mut seen) = (Vec::new(), HashSet::new());
        for value in self.ops.iter().flat_map(|&op| program.reads(op)) {
            let is_own =
                matches!(program.value(value).definition, Definition::Result { op, .. } if own.contains(&op));
            if !is_own && !weights.contains(&value) && seen.insert(value) {
                inputs.push(value);
            }
        }
        inputs
    }

    /// True if a module below has a number for a name, as a layer has.
    pub(super) fn holds_layers(&self, program: &Program) -> bool {
        let numbered = |path: &str| path.split('.').any(|name| name.bytes().all(|b| b.is_ascii_digit()));
        self.ops.iter().any(|&op| {
            let path = program.path(program.op(op).path);
            let below = path.strip_prefix(self.path.as_str()).unwrap_or_default().trim_start_matches('.');
            !below.is_empty() && numbered(below)
        })
    }
}

/// Who reads each value of a body.
pub(super) struct Uses {
    readers: HashMap<Value, Vec<OpId>>,
    returned: HashSet<Value>,
}

impl Uses {
    pub(super) fn of(program: &Program) -> Self {
        let mut readers: HashMap<Value, Vec<OpId>> = HashMap::new();
        for &op in &program.region(program.body()).ops {
            for value in program.reads(op) {
                readers.entry(value).or_default().push(op);
            }
        }
        Self { readers, returned: program.outputs().iter().map(|o| o.value).collect() }
    }

    fn outside(&self, value: Value, own: &HashSet<OpId>) -> bool {
        let read = self.readers.get(&value).is_some_and(|ops| ops.iter().any(|op| !own.contains(op)));
        read || self.returned.contains(&value)
    }
}

/// Groups ops by their keys. Where groups read each other in a circle (a module is called twice, or
/// works between the ops of the module around it), those are cut into the runs in which their ops
/// follow each other.
fn group(program: &Program, ops: &[OpId], keys: &[Option<&str>]) -> Vec<Vec<OpId>> {
    let names: Vec<Option<&str>> = keys.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let index = |key: Option<&str>| names.binary_search(&key).unwrap_or(0);
    let of_op: HashMap<OpId, usize> = ops.iter().copied().zip(keys.iter().map(|&k| index(k))).collect();
    let circular = circular(&edges(program, ops, &of_op), names.len());
    let mut groups: Vec<Vec<OpId>> = Vec::new();
    let mut whole: HashMap<usize, usize> = HashMap::new();
    // The name and the group of the last op that is part of a circle.
    let mut run = None;
    for &op in ops {
        let name = of_op[&op];
        let known = if circular[name] {
            run.filter(|&(last, _)| last == name).map(|(_, place)| place)
        } else {
            whole.get(&name).copied()
        };
        let place = known.unwrap_or_else(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(op);
        if circular[name] {
            run = Some((name, place));
        } else {
            whole.insert(name, place);
        }
    }
    groups
}

/// Which group reads which: pairs of the one that defines and the one that reads.
fn edges(program: &Program, ops: &[OpId], of_op: &HashMap<OpId, usize>) -> BTreeSet<(usize, usize)> {
    let mut edges = BTreeSet::new();
    for &reader in ops {
        for value in program.reads(reader) {
            let Definition::Result { op, .. } = program.value(value).definition else { continue };
            if let Some(&from) = of_op.get(&op)
                && from != of_op[&reader]
            {
                edges.insert((from, of_op[&reader]));
            }
        }
    }
    edges
}

/// For each of `count` groups, whether it reads itself through others.
fn circular(edges: &BTreeSet<(usize, usize)>, count: usize) -> Vec<bool> {
    (0..count)
        .map(|start| {
            let mut seen = vec![false; count];
            let mut pending = vec![start];
            while let Some(from) = pending.pop() {
                for &(_, to) in edges.range((from, 0)..(from + 1, 0)) {
                    if !std::mem::replace(&mut seen[to], true) {
                        pending.push(to);
                    }
                }
            }
            seen[start]
        })
        .collect()
}

/// Units so that each reads only what comes before it; of those that could come next, the one whose
/// ops begin first.
fn in_order(program: &Program, units: Vec<Unit>) -> Vec<Unit> {
    let of_op: HashMap<OpId, usize> =
        units.iter().enumerate().flat_map(|(i, unit)| unit.ops.iter().map(move |&op| (op, i))).collect();
    let ops: Vec<OpId> = units.iter().flat_map(|unit| unit.ops.iter().copied()).collect();
    let edges = edges(program, &ops, &of_op);
    let mut waiting: Vec<usize> = vec![0; units.len()];
    for &(_, to) in &edges {
        waiting[to] += 1;
    }
    let begins = |i: usize| (units[i].ops.first().copied(), i);
    let mut ready: BTreeSet<_> = (0..units.len()).filter(|&i| waiting[i] == 0).map(begins).collect();
    let mut order = Vec::with_capacity(units.len());
    while let Some((_, next)) = ready.pop_first() {
        order.push(next);
        for &(_, to) in edges.range((next, 0)..(next + 1, 0)) {
            waiting[to] -= 1;
            if waiting[to] == 0 {
                ready.insert(begins(to));
            }
        }
    }
    let mut units: Vec<Option<Unit>> = units.into_iter().map(Some).collect();
    order.into_iter().filter_map(|i| units[i].take()).collect()
}

#[cfg(test)]
mod tests {
    use porter_ir::{Builder, DType, TensorType};

    use super::*;

    /// A decoder in small: tied tables, a mask that is made inside the first layer, residual sums.
    fn decoder() -> Program {
        let b = Builder::new("decoder");
        let ty = TensorType::new(DType::F32, [2]);
        let ids = b.argument("ids", ty.clone()).unwrap();
        let model = b.scope("model");
        let table = |x| {
            let b = model.scope("embed_tokens");
            b.multiply(x, b.weight("weight", ty.clone()).unwrap()).unwrap()
        };
        let mut x = table(ids);
        let mut mask = None;
        for i in 0..3 {
            let layer = model.scope("layers").scope(&i.to_string());
            let attention = layer.scope("self_attn");
            let q = attention.scope("q_proj").negate(x).unwrap();
            let mask = *mask.get_or_insert_with(|| model.scope("causal_mask").abs(ids).unwrap());
            let mixed = attention.add(q, mask).unwrap();
            let mixed = attention.scope("o_proj").negate(mixed).unwrap();
            let sum = layer.add(x, mixed).unwrap();
            let inner = layer.scope("mlp").tanh(sum).unwrap();
            x = layer.add(sum, inner).unwrap();
        }
        let x = model.scope("norm").tanh(x).unwrap();
        b.result("logits", table(x)).unwrap();
        b.finish()
    }

    fn paths(units: &[Unit]) -> Vec<&str> {
        units.iter().map(|unit| unit.path.as_str()).collect()
    }

    #[test]
    fn modules_are_cut_where_they_follow_each_other() {
        let program = decoder();
        let top = Unit::whole(&program).parts(&program);
        assert_eq!(paths(&top), ["model"]);
        let model = top[0].parts(&program);
        let expected =
            ["model.causal_mask", "model.embed_tokens", "model.layers", "model.norm", "model.embed_tokens"];
        let mut found = paths(&model);
        found.sort_unstable_by_key(|path| expected.iter().position(|e| e == path));
        assert_eq!(paths(&model).last(), Some(&"model.embed_tokens"), "the tied head comes last");
        assert_eq!(found.len(), expected.len());

        let layers = model.iter().find(|unit| unit.path == "model.layers").unwrap().parts(&program);
        assert_eq!(paths(&layers), ["model.layers.0", "model.layers.1", "model.layers.2"]);
        let layer = layers[1].parts(&program);
        let own = "model.layers.1";
        assert_eq!(paths(&layer), ["model.layers.1.self_attn", own, "model.layers.1.mlp", own]);
        let attention = layer[0].parts(&program);
        let names = ["q_proj", "", "o_proj"].map(|name| format!("{own}.self_attn.{name}"));
        assert_eq!(paths(&attention), names.each_ref().map(|name| name.trim_end_matches('.')));
        let extents: Vec<Extent> = attention.iter().map(|unit| unit.extent).collect();
        assert_eq!(extents, [Extent::Module, Extent::Own, Extent::Module]);
        assert_eq!(attention[0].parts(&program)[0].extent, Extent::Op);
    }

    #[test]
    fn units_read_only_what_comes_before_them() {
        let program = decoder();
        let mut pending = vec![Unit::whole(&program)];
        while let Some(unit) = pending.pop() {
            let parts = unit.parts(&program);
            let mut done = HashSet::new();
            for part in &parts {
                for value in part.inputs(&program) {
                    let Definition::Result { op, .. } = program.value(value).definition else { continue };
                    assert!(!unit.ops.contains(&op) || done.contains(&op), "{} reads ahead", part.path);
                }
                done.extend(part.ops.iter().copied());
            }
            assert_eq!(done.len(), unit.ops.len(), "every op is in one part of {:?}", unit.path);
            pending.extend(parts.into_iter().filter(|part| part.extent != Extent::Op));
        }
    }

    #[test]
    fn outputs_are_what_others_read() {
        let program = decoder();
        let uses = Uses::of(&program);
        let model = Unit::whole(&program).parts(&program).remove(0);
        assert_eq!(model.outputs(&program, &uses), [program.outputs()[0].value]);
        let layers = model.parts(&program).into_iter().find(|unit| unit.path == "model.layers").unwrap();
        assert!(layers.holds_layers(&program));
        let layer = &layers.parts(&program)[0];
        assert!(!layer.holds_layers(&program));
        assert_eq!(layer.outputs(&program, &uses).len(), 1);
        assert_eq!(layer.inputs(&program).len(), 2, "the residual stream and the mask");
    }
}
