//! Copying a program with some of its ops replaced.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

use porter_ir::{
    Builder, InputRole, LogicalAxis, OpId, OutputRole, Program, RegionId, Result, TensorType, Value,
    program::Definition,
};

use crate::resize::Sizes;

/// Builds the values that stand in for the results of an [`Edit`], in their order.
pub type Replacement = Box<dyn Fn(&Site<'_>) -> Result<Vec<Value>>>;

/// A group of ops of one region and what replaces them.
pub struct Edit {
    /// The replaced ops. What they read from outside the group must not depend on the group.
    pub ops: Vec<OpId>,
    /// Those of their results that are read outside the group.
    pub results: Vec<Value>,
    /// Builds what replaces these results, under the source path of the first op.
    pub replacement: Replacement,
}

impl Edit {
    /// The replacement of one op.
    pub fn one(
        program: &Program,
        op: OpId,
        replacement: impl Fn(&Site<'_>) -> Result<Vec<Value>> + 'static,
    ) -> Self {
        let results = program.op(op).results.clone();
        Self { ops: vec![op], results, replacement: Box::new(replacement) }
    }
}

/// Where a replacement is built: the new program at the place of the replaced ops.
pub struct Site<'a> {
    /// Adds ops to the new program.
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

    /// A copy of an op of the old program, added with `b`, that reads `operands`.
    pub fn repeat(&self, b: &Builder, op: OpId, operands: &[Value]) -> Result<Vec<Value>> {
        let data = self.copy.source.op(op);
        let regions: Vec<RegionId> =
            data.regions.iter().map(|&r| self.copy.region(b, r)).collect::<Result<_>>()?;
        b.push(data.op.clone(), operands, &regions)
    }

    /// Updates the state `name` of the new program in place of the old one's states `parts`.
    pub fn update_joined(&self, name: &str, parts: &[String], value: Value) -> Result<()> {
        self.copy.joined.borrow_mut().extend(parts.iter().cloned());
        self.b.update(name, value)
    }
}

/// A copy of `program` with `edits` applied, without the ops, weights and states that nothing uses
/// then.
pub(crate) fn rebuild(program: &Program, edits: &[Edit]) -> Result<Program> {
    let edited = Copier::new(program, edits).run(None)?;
    Copier::new(&edited, &[]).run(Some(&live_ops(&edited)))
}

/// A copy of `program` with its values at other sizes.
pub(crate) fn resize(program: &Program, sizes: &Sizes) -> Result<Program> {
    if let Some(name) = sizes.refused(program) {
        let problem = format!("{name:?} is given by the caller and would have another size");
        return Err(Builder::new(program.name()).error("resize", &[], problem));
    }
    Copier { sizes: Some(sizes), ..Copier::new(program, &[]) }.run(None)
}

/// The ops of the body that its results depend on. Ops in nested regions live with their parent.
fn live_ops(program: &Program) -> HashSet<OpId> {
    let mut live = HashSet::new();
    let mut pending: Vec<Value> = program.outputs().iter().map(|o| o.value).collect();
    while let Some(value) = pending.pop() {
        let Definition::Result { op, .. } = program.value(value).definition else { continue };
        if live.insert(op) {
            pending.extend(program.reads(op));
        }
    }
    live
}

struct Copier<'a> {
    source: &'a Program,
    target: Builder,
    edits: HashMap<OpId, &'a Edit>,
    values: RefCell<HashMap<Value, Value>>,
    /// Ops of the body that were copied or replaced, or are on their way to be.
    visited: RefCell<HashSet<OpId>>,
    /// States that are part of another state now.
    joined: RefCell<HashSet<String>>,
    /// What values become that are not copied as they are.
    sizes: Option<&'a Sizes>,
}

impl<'a> Copier<'a> {
    fn new(source: &'a Program, edits: &'a [Edit]) -> Self {
        Self {
            source,
            target: Builder::new(source.name()),
            edits: edits.iter().flat_map(|edit| edit.ops.iter().map(move |&op| (op, edit))).collect(),
            values: RefCell::default(),
            visited: RefCell::default(),
            joined: RefCell::default(),
            sizes: None,
        }
    }

    /// The type of a value's copy.
    fn ty(&self, value: Value) -> TensorType {
        self.sizes.map_or_else(|| self.source.ty(value).clone(), |sizes| sizes.ty(self.source, value))
    }

    /// The copy; of the body's ops only those in `live`, where given.
    fn run(self, live: Option<&HashSet<OpId>>) -> Result<Program> {
        if let Some(mesh) = self.source.mesh() {
            self.target.set_mesh(mesh.clone());
        }
        // Arguments belong to the program's interface; weights and states come as they are used.
        for input in self.source.inputs().iter().filter(|i| i.role == InputRole::Argument) {
            self.value(&self.target, input.value)?;
        }
        for &op in &self.source.region(self.source.body()).ops {
            if live.is_none_or(|live| live.contains(&op)) {
                self.op_of_body(op)?;
            }
        }
        for output in self.source.outputs() {
            match output.role {
                OutputRole::State if self.joined.borrow().contains(&output.name) => {}
                OutputRole::State => {
                    self.target.update(&output.name, self.value(&self.target, output.value)?)?;
                }
                OutputRole::Result => {
                    let value = self.value(&self.target, output.value)?;
                    let result = |sizes: &Sizes| sizes.result(self.source, &self.target, output.value, value);
                    self.target.result(&output.name, self.sizes.map_or(Ok(value), result)?)?;
                }
            }
            if let (Some(sharding), false) = (&output.sharding, self.joined.borrow().contains(&output.name)) {
                self.target.shard_output(&output.name, sharding.clone())?;
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

    /// Copies an op of the body, after everything that it or its group reads.
    fn op_of_body(&self, id: OpId) -> Result<()> {
        if !self.visited.borrow_mut().insert(id) {
            return Ok(());
        }
        let group = self.edits.get(&id).map_or(std::slice::from_ref(&id), |edit| &edit.ops[..]);
        self.visited.borrow_mut().extend(group);
        for &member in group {
            for value in self.source.reads(member) {
                if let Definition::Result { op, .. } = self.source.value(value).definition {
                    self.op_of_body(op)?;
                }
            }
        }
        self.op(&self.target, id)
    }

    fn op(&self, b: &Builder, id: OpId) -> Result<()> {
        let data = self.source.op(id);
        let b = b.at(self.source.path(data.path));
        if let Some(edit) = self.edits.get(&id) {
            return self.edit(edit, b);
        }
        let operands: Vec<Value> = data.operands.iter().map(|&v| self.value(&b, v)).collect::<Result<_>>()?;
        let regions: Vec<RegionId> =
            data.regions.iter().map(|&r| self.region(&b, r)).collect::<Result<_>>()?;
        let results = match self.sizes {
            None => b.push(data.op.clone(), &operands, &regions)?,
            Some(sizes) => sizes.push(self.source, &b, id, &operands, &regions)?,
        };
        for (&old, &new) in data.results.iter().zip(&results) {
            self.axes(&b, old, new)?;
        }
        self.values.borrow_mut().extend(data.results.iter().copied().zip(results));
        Ok(())
    }

    /// What the dimensions of `old` mean, those of `new` mean too, unless it says otherwise. Where one has
    /// another size, as many more heads are in it.
    fn axes(&self, b: &Builder, old: Value, new: Value) -> Result<()> {
        let said = b.program().value(new).axes.is_some();
        let (Some(axes), false) = (&self.source.value(old).axes, said) else { return Ok(()) };
        let (from, to) = (&self.source.ty(old).shape, b.shape(new));
        let resized = axes.iter().zip(from.iter().zip(to.iter())).map(|(axis, (&from, &to))| {
            let axis = axis.as_ref()?;
            let parts = axis.parts.map(|parts| parts.saturating_mul(to) / from.max(1));
            Some(LogicalAxis { parts, ..axis.clone() })
        });
        b.logical_axes(new, &resized.collect::<Vec<_>>())
    }

    fn edit(&self, edit: &Edit, b: Builder) -> Result<()> {
        let site = Site { b, copy: self };
        let replacements = (edit.replacement)(&site)?;
        let expected: Vec<TensorType> = edit.results.iter().map(|&v| self.source.ty(v).clone()).collect();
        let found: Vec<TensorType> = replacements.iter().map(|&v| site.b.ty(v)).collect();
        if expected != found {
            let list =
                |types: &[TensorType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let problem =
                format!("a replacement must keep the types {}, found {}", list(&expected), list(&found));
            return Err(site.b.error("rewrite", &replacements, problem));
        }
        for (&old, &new) in edit.results.iter().zip(&replacements) {
            self.axes(&site.b, old, new)?;
        }
        self.values.borrow_mut().extend(edit.results.iter().copied().zip(replacements));
        Ok(())
    }

    fn region(&self, b: &Builder, id: RegionId) -> Result<RegionId> {
        let region = self.source.region(id);
        let types: Vec<TensorType> = region.arguments.iter().map(|&v| self.ty(v)).collect();
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
        let ty = self.ty(old);
        let new = match input.role {
            InputRole::Weight => top.weight(&input.name, ty)?,
            InputRole::Argument => top.argument(&input.name, ty)?,
            InputRole::State => top.state(&input.name, ty)?,
        };
        self.axes(&top, old, new)?;
        self.values.borrow_mut().insert(old, new);
        Ok(new)
    }
}
