//! Whether a program is what it claims to be. Every problem is reported at once.

mod interface;
mod scope;
mod structure;

use std::fmt;

use crate::{OpId, Program};

/// Something wrong with a program, named by where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The source path of the op; empty for what concerns the whole program.
    pub path: String,
    /// What it is about: `op3 stablehlo.add`, `input "ids"`, `region2`.
    pub subject: String,
    /// What was found and what was expected.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}: {}", self.subject, self.problem)
    }
}

impl std::error::Error for Problem {}

impl Program {
    /// Everything that is wrong with this program; nothing, for what a [`Builder`](crate::Builder) made
    /// and nobody changed.
    ///
    /// Checked are: ids and definitions, values used where they are defined, regions that read from
    /// outside only where their op allows it, every op's types inferred again, inputs and outputs with
    /// unique names and the types of the body's border, states that are given a next value, and
    /// shardings over the mesh.
    pub fn verify(&self) -> Vec<Problem> {
        let mut verifier = Verifier { program: self, problems: Vec::new() };
        verifier.structure();
        // Without sound ids and definitions nothing can be looked up.
        if verifier.problems.is_empty() {
            verifier.scopes();
            verifier.interface();
        }
        verifier.problems
    }
}

struct Verifier<'p> {
    program: &'p Program,
    problems: Vec<Problem>,
}

impl Verifier<'_> {
    fn report(&mut self, subject: impl fmt::Display, problem: impl Into<String>) {
        let (path, subject) = (String::new(), subject.to_string());
        self.problems.push(Problem { path, subject, problem: problem.into() });
    }

    fn report_op(&mut self, id: OpId, problem: impl Into<String>) {
        let data = self.program.op(id);
        let path = self.program.paths.get(data.path.index()).cloned().unwrap_or_default();
        let subject = format!("{id} {}", data.op.as_operation().name());
        self.problems.push(Problem { path, subject, problem: problem.into() });
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Builder, DType, Mesh, OutputRole, Program, Sharding, TensorType, Value,
        ops::{Negate, Reduce},
        program::Definition,
    };

    fn ty() -> TensorType {
        TensorType::new(DType::F32, [4])
    }

    /// `y = -(x + x)`, a state, and a region.
    fn sound() -> Program {
        let b = Builder::new("main");
        let x = b.argument("x", ty()).unwrap();
        let cache = b.state("cache", ty()).unwrap();
        let sum = b.scope("layer").add(x, x).unwrap();
        let y = b.scope("layer").negate(sum).unwrap();
        b.reduce_sum(y, &[0]).unwrap();
        b.result("y", y).unwrap();
        b.update("cache", cache).unwrap();
        b.finish()
    }

    fn problems(change: impl FnOnce(&mut Program)) -> Vec<String> {
        let mut program = sound();
        change(&mut program);
        program.verify().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_builder_makes_is_sound() {
        assert_eq!(problems(|_| ()), [""; 0]);
    }

    #[test]
    fn a_value_is_used_after_its_definition() {
        let found = problems(|p| p.regions[0].ops.swap(0, 1));
        assert_eq!(found, ["layer: op1 stablehlo.negate: reads %2, which is not defined before it"]);
    }

    #[test]
    fn types_are_inferred_again() {
        let found = problems(|p| p.values[3].ty.dtype = DType::BF16);
        assert!(
            found[0].starts_with("layer: op1 stablehlo.negate: gives (bf16[4]), expected (f32[4])"),
            "{found:?}"
        );
    }

    #[test]
    fn ids_lead_somewhere_and_back() {
        let found = problems(|p| p.ops[1].operands[0] = Value(99));
        assert_eq!(found, ["layer: op1 stablehlo.negate: reads %99, which does not exist"]);
        let found =
            problems(|p| p.values[2].definition = Definition::Argument { region: p.body(), index: 7 });
        assert_eq!(found.len(), 2, "{found:?}");
        let found = problems(|p| p.regions[0].ops.retain(|op| op.index() != 1));
        assert_eq!(found, ["layer: op1 stablehlo.negate: is among the ops of [], expected region0 once"]);
    }

    #[test]
    fn isolated_regions_read_their_arguments_only() {
        let found = problems(|p| {
            let inner = p.ops.iter().position(|op| op.parent != p.body()).unwrap();
            let x = p.inputs[0].value;
            p.values[x.index()].ty = TensorType::scalar(DType::F32);
            p.ops[inner].operands[0] = x;
        });
        assert!(found.iter().any(|p| p.contains("reads %0 from outside, which it may not")), "{found:?}");
    }

    #[test]
    fn a_region_without_an_op_is_seen() {
        let b = Builder::new("main");
        let x = b.argument("x", ty()).unwrap();
        assert!(b.reduce(&[x], &[x], &[0], |b, a| Ok(vec![b.add(a[0], a[1])?])).is_err());
        let found = b.finish().verify();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].problem, "belongs to no op: building it failed, or its op was never added");
    }

    #[test]
    fn names_are_unique_and_states_are_given_back() {
        let found = problems(|p| p.inputs[1].name = "x".to_owned());
        assert_eq!(
            found,
            [
                "input \"x\": is there twice",
                "output \"cache\": updates a state that is no input",
                "input \"x\": is a state without a next value",
            ]
        );
        let found = problems(|p| p.outputs[1].role = OutputRole::Result);
        assert_eq!(found, ["input \"cache\": is a state without a next value"]);
        let found = problems(|p| drop(p.outputs.pop()));
        assert_eq!(
            found,
            [
                "the outputs: are not the results of the body",
                "input \"cache\": is a state without a next value"
            ]
        );
    }

    #[test]
    fn shardings_fit_the_mesh() {
        let sharding = |axes: &[&[&str]]| {
            let dims = axes.iter().map(|axes| axes.iter().map(ToString::to_string).collect()).collect();
            Some(Sharding { dims })
        };
        let mesh = Mesh { axes: vec![("data".to_owned(), 2), ("model".to_owned(), 3)] };
        let found = problems(|p| p.inputs[0].sharding = sharding(&[&["data"]]));
        assert_eq!(found, ["input \"x\": has a sharding, and the program no mesh"]);
        let found = problems(|p| {
            p.mesh = Some(mesh);
            p.inputs[0].sharding = sharding(&[&["data"]]);
            p.inputs[1].sharding = sharding(&[&["model"], &["data"]]);
            p.outputs[0].sharding = sharding(&[&["x", "data", "data"]]);
        });
        assert_eq!(
            found,
            [
                "input \"cache\": the sharding has 2 dimensions, f32[4] is sharded",
                "input \"cache\": dimension 0 of 4 does not divide over 3 devices",
                "output \"y\": dimension 0 is split over \"x\", which is no axis of the mesh",
                "output \"y\": axis \"data\" splits twice",
            ]
        );
    }

    #[test]
    fn ops_that_no_longer_fit_say_why() {
        let found = problems(|p| {
            let id = p.ops.iter().position(|op| op.op.kind() == crate::OpKind::Reduce).unwrap();
            p.ops[id].op = Reduce { dimensions: vec![3] }.into();
            p.ops[1].op = Negate.into();
        });
        assert_eq!(found.len(), 1);
        assert!(found[0].ends_with("stablehlo.reduce: dimension 3 is not below the rank 1"), "{found:?}");
    }
}
