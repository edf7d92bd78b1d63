//! Inputs, outputs and shardings.

use std::collections::HashSet;

use super::Verifier;
use crate::{InputRole, Op, OutputRole, Program, Sharding, Value};

impl Verifier<'_> {
    pub(super) fn interface(&mut self) {
        let program = self.program;
        let body = program.region(program.body());
        let inputs: Vec<Value> = program.inputs.iter().map(|input| input.value).collect();
        let outputs: Vec<Value> = program.outputs.iter().map(|output| output.value).collect();
        if inputs != body.arguments {
            self.report("the inputs", "are not the arguments of the body");
        }
        if outputs != body.results {
            self.report("the outputs", "are not the results of the body");
        }
        self.unique("input", program.inputs.iter().map(|input| input.name.as_str()));
        self.unique("output", program.outputs.iter().map(|output| output.name.as_str()));
        self.states();
        self.shardings();
    }

    fn unique<'n>(&mut self, what: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name) {
                self.report(format!("{what} {name:?}"), "is there twice");
            }
        }
    }

    /// Each state output is the next value of one state input, and each state input has one: a state
    /// that is donated and not given back is lost.
    fn states(&mut self) {
        let program = self.program;
        let inputs = || program.inputs.iter().filter(|input| input.role == InputRole::State);
        let outputs = || program.outputs.iter().filter(|output| output.role == OutputRole::State);
        for output in outputs() {
            let subject = format!("output {:?}", output.name);
            let found = program.ty(output.value);
            match inputs().find(|input| input.name == output.name).map(|input| program.ty(input.value)) {
                None => self.report(subject, "updates a state that is no input"),
                Some(ty) if ty != found => self.report(subject, format!("is {found}, the state is {ty}")),
                Some(_) => {}
            }
        }
        let updated: HashSet<&str> = outputs().map(|output| output.name.as_str()).collect();
        for input in inputs().filter(|input| !updated.contains(input.name.as_str())) {
            self.report(format!("input {:?}", input.name), "is a state without a next value");
        }
    }

    fn shardings(&mut self) {
        let program = self.program;
        for input in &program.inputs {
            let subject = format!("input {:?}", input.name);
            for problem in sharding_problems(program, input.sharding.as_ref(), input.value) {
                self.report(&subject, problem);
            }
        }
        for output in &program.outputs {
            let subject = format!("output {:?}", output.name);
            for problem in sharding_problems(program, output.sharding.as_ref(), output.value) {
                self.report(&subject, problem);
            }
        }
        for (id, data) in program.ops() {
            if let (Op::ShardingConstraint(op), [x]) = (&data.op, &data.operands[..]) {
                for problem in sharding_problems(program, Some(&op.sharding), *x) {
                    self.report_op(id, problem);
                }
            }
        }
    }
}

fn sharding_problems(program: &Program, sharding: Option<&Sharding>, value: Value) -> Vec<String> {
    let Some(sharding) = sharding else { return Vec::new() };
    let ty = program.ty(value);
    let Some(mesh) = &program.mesh else {
        return vec!["has a sharding, and the program no mesh".to_owned()];
    };
    let mut problems = Vec::new();
    if sharding.dims.len() != ty.shape.rank() {
        problems.push(format!("the sharding has {} dimensions, {ty} is sharded", sharding.dims.len()));
    }
    let mut used = HashSet::new();
    for (dim, (axes, &size)) in sharding.dims.iter().zip(ty.shape.iter()).enumerate() {
        let mut parts: usize = 1;
        for axis in axes {
            match mesh.axes.iter().find(|(name, _)| name == axis) {
                None => problems
                    .push(format!("dimension {dim} is split over {axis:?}, which is no axis of the mesh")),
                Some((_, devices)) => parts = parts.saturating_mul(*devices),
            }
            if !used.insert(axis) {
                problems.push(format!("axis {axis:?} splits twice"));
            }
        }
        if parts == 0 || !size.is_multiple_of(parts) {
            problems.push(format!("dimension {dim} of {size} does not divide over {parts} devices"));
        }
    }
    problems
}
