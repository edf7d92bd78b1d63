//! From logical axes to shardings.

use std::collections::{BTreeMap, BTreeSet};

use porter_ir::{LogicalAxis, Mesh, Program, Sharding, TensorType, Value};

use super::{ShardProblem, rules::Rules};

/// A logical axis of some parts over mesh axes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Division {
    axis: String,
    parts: usize,
    over: Vec<(String, usize)>,
}

/// Applies a table to the values of a program, and keeps what does not work.
pub(super) struct Resolver<'a> {
    mesh: &'a Mesh,
    rules: &'a Rules,
    /// Mesh axes that split something.
    used: BTreeSet<String>,
    indivisible: BTreeMap<Division, Vec<String>>,
    unruled: BTreeMap<String, Vec<String>>,
    unnamed: Vec<String>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(mesh: &'a Mesh, rules: &'a Rules) -> Self {
        Self {
            mesh,
            rules,
            used: BTreeSet::new(),
            indivisible: BTreeMap::new(),
            unruled: BTreeMap::new(),
            unnamed: Vec::new(),
        }
    }

    /// How `value` lies. `name` is what messages call it.
    pub(super) fn value(&mut self, program: &Program, value: Value, name: &str) -> Sharding {
        let data = program.value(value);
        let Some(axes) = &data.axes else {
            if data.ty.shape.rank() > 0 {
                self.unnamed.push(name.to_owned());
            }
            return Sharding::whole(data.ty.shape.rank());
        };
        self.axes(axes, &data.ty, name)
    }

    /// How a result lies: whole where nobody has named its dimensions, as the outputs of modules that are
    /// looked at.
    pub(super) fn result(&mut self, program: &Program, value: Value, name: &str) -> Sharding {
        match program.value(value).axes {
            Some(_) => self.value(program, value, name),
            None => Sharding::whole(program.ty(value).shape.rank()),
        }
    }

    /// How a tensor of type `ty` lies whose dimensions mean `axes`.
    pub(super) fn axes(&mut self, axes: &[Option<LogicalAxis>], ty: &TensorType, name: &str) -> Sharding {
        let mut sharding = Sharding::whole(axes.len());
        let mut taken: Vec<&str> = Vec::new();
        for ((axis, &size), dim) in axes.iter().zip(ty.shape.iter()).zip(&mut sharding.dims) {
            let Some(axis) = axis else { continue };
            let Some(mesh_axes) = self.rules.mesh_axes(axis, self.mesh) else {
                note(self.unruled.entry(axis.name.to_string()).or_default(), name);
                continue;
            };
            let mut free: Vec<&str> = mesh_axes.into_iter().filter(|axis| !taken.contains(axis)).collect();
            let parts = axis.parts.unwrap_or(size);
            let mesh = self.mesh;
            let divides = |over: &[&str]| {
                let sizes = over.iter().filter_map(|axis| mesh.size(axis));
                let devices = sizes.fold(1_usize, usize::saturating_mul);
                parts.is_multiple_of(devices) && size.is_multiple_of(devices)
            };
            while self.rules.yields(axis) && !divides(&free) {
                free.pop();
            }
            if !divides(&free) {
                let over = free.iter().map(|&axis| (axis.to_owned(), mesh.size(axis).unwrap_or(1))).collect();
                let division = Division { axis: axis.name.to_string(), parts, over };
                note(self.indivisible.entry(division).or_default(), name);
                continue;
            }
            taken.extend(&free);
            self.used.extend(free.iter().map(ToString::to_string));
            *dim = free.into_iter().map(str::to_owned).collect();
        }
        sharding
    }

    /// Everything that does not work in the program `program`.
    pub(super) fn problems(self, program: &str) -> Vec<ShardProblem> {
        let mut problems: Vec<ShardProblem> = Vec::new();
        // An axis whose parts do not divide is not idle.
        let tried: BTreeSet<&String> =
            self.indivisible.keys().flat_map(|division| division.over.iter().map(|(axis, _)| axis)).collect();
        let idle = self
            .mesh
            .axes
            .iter()
            .filter(|(axis, size)| *size > 1 && !self.used.contains(axis) && !tried.contains(axis));
        let idle = idle.map(|(axis, size)| ShardProblem::Idle {
            axis: axis.clone(),
            size: *size,
            program: program.to_owned(),
        });
        problems.extend(idle);
        problems.extend(self.indivisible.into_iter().map(|(Division { axis, parts, over }, tensors)| {
            ShardProblem::Indivisible { axis, parts, over, tensors }
        }));
        let table = self.rules.name;
        problems.extend(self.unruled.into_iter().map(|(axis, tensors)| ShardProblem::NoRule {
            axis,
            table,
            tensors,
        }));
        if !self.unnamed.is_empty() {
            problems.push(ShardProblem::NoAxes { tensors: self.unnamed });
        }
        problems
    }
}

/// Adds a name that is not there yet.
fn note(names: &mut Vec<String>, name: &str) {
    if !name.is_empty() && names.last().is_none_or(|last| last != name) {
        names.push(name.to_owned());
    }
}
