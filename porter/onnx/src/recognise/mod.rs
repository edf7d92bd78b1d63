//! What a graph's ops are together: the composites that the model zoo writes, found in imported programs.
//!
//! Patterns are matched on the program and not on the ONNX graph: there, shape arithmetic is computed, functions are
//! expanded, constants, initial values and casts that do nothing are gone, and an operator such as `Gelu` has the
//! form that an exporter of an older version writes out. A pattern names the value that it replaces and what that is
//! made of; ops that nothing reads then go. So patterns neither exclude each other nor care who else reads the
//! values between.

mod activation;
mod arrange;
mod attention;
pub(crate) mod composites;
mod norm;
mod quantise;
mod rotary;
mod view;

use std::collections::HashSet;

use porter_ir::{OpError, Program, Value};
use porter_rewrite::{Edit, Effect, Patch, Port, Site};
use porter_weights::WeightMap;

use crate::host::Host;
use view::View;

/// A composite that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifted {
    /// Its name: `porter.attention`.
    pub composite: String,
    /// The source path of the op that gave its result.
    pub path: String,
}

/// Builds what replaces a value.
type Build = Box<dyn Fn(&Site<'_>) -> Result<Value, OpError>>;

/// A value and what replaces it.
pub(crate) struct Lift {
    root: Value,
    build: Build,
}

impl Lift {
    pub(crate) fn new(root: Value, build: impl Fn(&Site<'_>) -> Result<Value, OpError> + 'static) -> Self {
        Self { root, build: Box::new(build) }
    }
}

/// `program` with what is recognised in it as composites, and what that is, in the order of execution.
///
/// `weight` gives the elements of a weight by its name: causal masks and rotary tables that an exporter computed are
/// weights, and are looked at. See [`weight`](crate::weight).
pub fn recognise(
    program: &Program,
    weight: &dyn Fn(&str) -> Option<Host>,
) -> Result<(Program, Vec<Lifted>), OpError> {
    let lifts = find(&View::new(program, weight));
    let port = Port::new(vec![program.clone()], WeightMap::new());
    let mut patch = Patch::new("recognise", Effect::Neutral, &port);
    let edit = |lift: Lift| {
        let porter_ir::program::Definition::Result { op, .. } = program.value(lift.root).definition else {
            return None;
        };
        Some(Edit::one(program, op, move |site| Ok(vec![(lift.build)(site)?])))
    };
    let edits: Vec<Edit> = lifts.into_iter().filter_map(edit).collect();
    if let Some(slot) = patch.edits.first_mut() {
        *slot = edits;
    }
    let lifted = patch.apply(&port)?.programs.into_iter().next().unwrap_or_else(|| program.clone());
    let found = composites(&lifted);
    Ok((lifted, found))
}

/// What is recognised, each value once.
fn find(view: &View<'_>) -> Vec<Lift> {
    let body = view.program.region(view.program.body());
    let values: Vec<Value> = body.ops.iter().flat_map(|&op| view.program.op(op).results.clone()).collect();
    let mut taken = HashSet::new();
    let mut lifts = Vec::new();
    for pattern in [attention::find, rotary::find, norm::find, activation::find, quantise::find] {
        let found = values.iter().filter_map(|&value| pattern(view, value));
        lifts.extend(found.filter(|lift| taken.insert(lift.root)).collect::<Vec<_>>());
    }
    lifts
}

fn composites(program: &Program) -> Vec<Lifted> {
    let body = program.region(program.body());
    let ops = body.ops.iter().map(|&op| program.op(op));
    let name = |op: &porter_ir::program::OpData| match &op.op {
        porter_ir::Op::Composite(composite) => {
            Some(Lifted { composite: composite.name.clone(), path: program.path(op.path).to_owned() })
        }
        _ => None,
    };
    ops.filter_map(name).collect()
}
