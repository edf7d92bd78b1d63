//! Programs with some dimensions of another size.
//!
//! A rewrite says of a few dimensions what they become ([`Seed`]); what that means for all other values follows from
//! the ops: [`Sizes::solve`] carries it from operands to results and back until nothing changes. A dimension is a
//! product of [`Factor`]s, so that it may be split and joined by reshapes: the rows of a query projection are
//! key-value heads times heads of a group times numbers of a head.

mod emit;
mod factor;
mod solve;

use std::collections::BTreeMap;

use porter_ir::{InputRole, OpError, Program, Shape, TensorType, Value};
use porter_weights::Expr;

pub(crate) use factor::{Factor, Kind};

use crate::{Patch, Port, rebuild::resize};

/// What one dimension of a value becomes.
pub(crate) struct Seed {
    pub(crate) value: Value,
    pub(crate) dim: usize,
    /// Their old sizes have the dimension's size as product.
    pub(crate) factors: Vec<Factor>,
}

/// What the dimensions of a program's values become.
pub(crate) struct Sizes {
    /// Only those that change.
    dims: BTreeMap<(Value, usize), Vec<Factor>>,
}

impl Sizes {
    /// The factors of a dimension that changes.
    pub(crate) fn factors(&self, value: Value, dim: usize) -> Option<&[Factor]> {
        self.dims.get(&(value, dim)).map(Vec::as_slice)
    }

    /// The type that a value becomes.
    pub(crate) fn ty(&self, program: &Program, value: Value) -> TensorType {
        let ty = program.ty(value);
        let sizes = ty.shape.iter().enumerate();
        let sizes = sizes.map(|(dim, &size)| self.factors(value, dim).map_or(size, factor::new_size));
        TensorType::new(ty.dtype, sizes.collect::<Vec<_>>())
    }
}

/// `patch` with these dimensions of a program's weights padded to a multiple of `parts`, where they are none. `what` is
/// what their numbers are called.
pub(crate) fn pad(
    mut patch: Patch,
    port: &Port,
    what: &str,
    parts: usize,
    dims: impl Fn(&Program) -> Vec<(Value, usize)>,
) -> Patch {
    let mut factor = None;
    for (at, program) in port.programs.iter().enumerate() {
        let seeds = padded(program, dims(program), parts);
        let Some(first) = seeds.first().and_then(|seed| seed.factors.first()) else { continue };
        factor = factor.or(Some(*first));
        if let Err(problem) = add(&mut patch, port, at, &seeds) {
            let mut none = Patch::new(patch.rewrite, patch.effect, port);
            none.reason = format!("left alone: {problem}");
            return none;
        }
    }
    if let Some(Factor { old, new, .. }) = factor {
        patch.reason = format!("{old} {what} do not divide over {parts} devices: {new}");
    }
    patch
}

/// The dimensions of weights that mean a logical axis.
pub(crate) fn meaning(program: &Program, axis: &str) -> Vec<(Value, usize)> {
    let weights = program.inputs().iter().filter(|input| input.role == InputRole::Weight);
    let named = weights.flat_map(|input| {
        let axes = program.value(input.value).axes.iter().flatten().enumerate();
        let meant = axes.filter(|(_, of)| of.as_ref().is_some_and(|of| of.name == axis));
        meant.map(|(dim, _)| (input.value, dim))
    });
    named.collect()
}

/// What those of `dims` become that do not divide into `parts`.
fn padded(program: &Program, dims: Vec<(Value, usize)>, parts: usize) -> Vec<Seed> {
    let padded = dims.into_iter().filter_map(|(value, dim)| {
        let old = program.ty(value).shape.get(dim).copied()?;
        let factor = Factor { kind: Kind::Padded, old, new: old.next_multiple_of(parts.max(1)) };
        (factor.new > old).then(|| Seed { value, dim, factors: vec![factor] })
    });
    padded.collect()
}

/// Adds to `patch` what `seeds` make of program `at` of `port`: the program and its weights. Weights that another
/// program resized already must come out the same.
pub(crate) fn add(patch: &mut Patch, port: &Port, at: usize, seeds: &[Seed]) -> Result<usize, OpError> {
    let program = &port.programs[at];
    let sizes = Sizes::solve(program, seeds)?;
    patch.replaced[at] = Some(resize(program, &sizes)?);
    let mut added = 0;
    for input in program.inputs().iter().filter(|input| input.role == InputRole::Weight) {
        let rank = program.ty(input.value).shape.rank();
        let changes: Vec<(usize, &[Factor])> =
            (0..rank).filter_map(|dim| Some((dim, sizes.factors(input.value, dim)?))).collect();
        let Some((_, _, expr)) = port.weights.resolve(&input.name).filter(|_| !changes.is_empty()) else {
            continue;
        };
        let mut shape = program.ty(input.value).shape.to_vec();
        let mut expr = expr.clone();
        for (dim, factors) in changes {
            (expr, shape) = factor::resized(expr, &shape, dim, factors);
        }
        let weight: (String, Shape, Expr) = (input.name.clone(), shape.into(), expr);
        if !patch.weights.contains(&weight) {
            patch.weights.push(weight);
            added += 1;
        }
    }
    Ok(added)
}
