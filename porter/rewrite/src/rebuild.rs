//! Copying a program with some of its ops replaced.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use porter_ir::{
    Builder, InputRole, OpId, OutputRole, Program, RegionId, Result, TensorType, Value,
    program::{Definition, OpData},
};

/// Builds the values that stand in for the results of the ops of an [`Edit`], in their order.
pub type Replacement = Box<dyn Fn(&Site<'_>) -> Result<Vec<Value>>>;

/// A group of ops of one region and what replaces them. The replacement is built in the place of
/// the first; what it reads must be defined there.
pub struct Edit {
    /// The replaced ops, the first of them first in program order.
    pub ops: Vec<OpId>,
    /// Builds what replaces them.
    pub replacement: Replacement,
}

/// Where a replacement is built: the new program at the place of the replaced ops.
pub struct Site<'a> {
    /// Adds ops to the new program, under the source path of the first replaced op.
    pub b: Builder,
    copy: &'a Copier<'a>,
}

impl Site<'_> {
    /// The new program's counterpart of a value of the old one.
    pub fn value(&self, old: Value) -> Result<Value> {
        self.copy.value(&self.b, old)
    }

    /// A weight input of the new program, by its full name.
    pub fn weight(&self, name: &str, ty: TensorType) -> Result<Value> {
        self.b.at("").weight(name, ty)
    }
}

/// A copy of `program` with `edits` applied, without the ops and weights that nothing uses then.
pub fn rebuild(program: &Program, edits: &[Edit]) -> Result<Program> {
    let edited = Copier::new(program, edits, None).run()?;
    let live = live_ops(&edited);
    Copier::new(&edited, &[], Some(live)).run()
}

/// The ops of the body that its results depend on. Ops in nested regions live with their parent.
fn live_ops(program: &Program) -> HashSet<OpId> {
    let mut live = HashSet::new();
    let mut pending: Vec<Value> = program.outputs().iter().map(|o| o.value).collect();
    while let Some(value) = pending.pop() {
        let Definition::Result { op, .. } = program.value(value).definition else { continue };
        if live.insert(op) {
            push_reads(program, program.op(op), &mut pending);
        }
    }
    live
}

fn push_reads(program: &Program, op: &OpData, reads: &mut Vec<Value>) {
    reads.extend(&op.operands);
    for &region in &op.regions {
        reads.extend(&program.region(region).results);
        for &inner in &program.region(region).ops {
            push_reads(program, program.op(inner), reads);
        }
    }
}

struct Copier<'a> {
    source: &'a Program,
    target: Builder,
    anchors: HashMap<OpId, &'a Edit>,
    replaced: HashSet<OpId>,
    /// The ops of the body to copy; all of them where none are given.
    live: Option<HashSet<OpId>>,
    values: RefCell<HashMap<Value, Value>>,
}

impl<'a> Copier<'a> {
    fn new(source: &'a Program, edits: &'a [Edit], live: Option<HashSet<OpId>>) -> Self {
        Self {
            source,
            target: Builder::new(source.name()),
            anchors: edits.iter().filter_map(|e| Some((*e.ops.first()?, e))).collect(),
            replaced: edits.iter().flat_map(|e| e.ops.iter().copied()).collect(),
            live,
            values: RefCell::new(HashMap::new()),
        }
    }

    fn run(self) -> Result<Program> {
        if let Some(mesh) = self.source.mesh() {
            self.target.set_mesh(mesh.clone());
        }
        // Arguments and states belong to the program's interface; weights come as they are used.
        for input in self.source.inputs().iter().filter(|i| i.role != InputRole::Weight) {
            self.value(&self.target, input.value)?;
        }
        for &op in &self.source.region(self.source.body()).ops {
            if self.live.as_ref().is_none_or(|live| live.contains(&op)) {
                self.op(&self.target, op)?;
            }
        }
        for output in self.source.outputs() {
            let value = self.value(&self.target, output.value)?;
            match output.role {
                OutputRole::Result => self.target.result(&output.name, value)?,
                OutputRole::State => self.target.update(&output.name, value)?,
            }
        }
        for input in self.source.inputs() {
            if let (Some(sharding), true) = (&input.sharding, self.values.borrow().contains_key(&input.value))
            {
                self.target.shard_input(&input.name, sharding.clone())?;
            }
        }
        Ok(self.target.finish())
    }

    fn op(&self, b: &Builder, id: OpId) -> Result<()> {
        let data = self.source.op(id);
        let b = b.at(self.source.path(data.path));
        if let Some(edit) = self.anchors.get(&id) {
            return self.edit(edit, b);
        }
        if self.replaced.contains(&id) {
            return Ok(());
        }
        let operands: Vec<Value> = data.operands.iter().map(|&v| self.value(&b, v)).collect::<Result<_>>()?;
        let regions: Vec<RegionId> =
            data.regions.iter().map(|&r| self.region(&b, r)).collect::<Result<_>>()?;
        let results = b.push(data.op.clone(), &operands, &regions)?;
        self.values.borrow_mut().extend(data.results.iter().copied().zip(results));
        Ok(())
    }

    fn edit(&self, edit: &Edit, b: Builder) -> Result<()> {
        let site = Site { b, copy: self };
        let replacements = (edit.replacement)(&site)?;
        let replaced: Vec<Value> =
            edit.ops.iter().flat_map(|&op| self.source.op(op).results.iter().copied()).collect();
        let expected: Vec<&TensorType> = replaced.iter().map(|&v| self.source.ty(v)).collect();
        let found: Vec<TensorType> = replacements.iter().map(|&v| site.b.ty(v)).collect();
        if !expected.iter().copied().eq(found.iter()) {
            let list = |types: &mut dyn Iterator<Item = String>| types.collect::<Vec<_>>().join(", ");
            let problem = format!(
                "a replacement must keep the types {}, found {}",
                list(&mut expected.iter().map(ToString::to_string)),
                list(&mut found.iter().map(ToString::to_string)),
            );
            return Err(site.b.error("rewrite", &replacements, problem));
        }
        self.values.borrow_mut().extend(replaced.into_iter().zip(replacements));
        Ok(())
    }

    fn region(&self, b: &Builder, id: RegionId) -> Result<RegionId> {
        let region = self.source.region(id);
        let types: Vec<TensorType> = region.arguments.iter().map(|&v| self.source.ty(v).clone()).collect();
        b.region(&types, |inner, arguments| {
            self.values.borrow_mut().extend(region.arguments.iter().copied().zip(arguments.iter().copied()));
            for &op in &region.ops {
                self.op(inner, op)?;
            }
            region.results.iter().map(|&v| self.value(inner, v)).collect()
        })
    }

    fn value(&self, b: &Builder, old: Value) -> Result<Value> {
        if let Some(&new) = self.values.borrow().get(&old) {
            return Ok(new);
        }
        let top = self.target.at("");
        let Some(input) = self.source.inputs().iter().find(|i| i.value == old) else {
            return Err(b.error("rewrite", &[], format!("{old} is read before it is defined")));
        };
        let ty = self.source.ty(old).clone();
        let new = match input.role {
            InputRole::Weight => top.weight(&input.name, ty)?,
            InputRole::Argument => top.argument(&input.name, ty)?,
            InputRole::State => top.state(&input.name, ty)?,
        };
        self.values.borrow_mut().insert(old, new);
        Ok(new)
    }
}
