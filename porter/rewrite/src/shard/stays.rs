//! Weights that stay split while rows come to them.
//!
//! A weight that lies split over the mesh axes that split rows (`fsdp`) is gathered before it is used. The table of
//! embeddings and the head of a prompt's last tokens are large, and what meets them is small:
//!
//! - a table keeps its features: ids are gathered, every device looks up its features of all rows, and rows and
//!   features are exchanged;
//! - a product keeps the features that it sums over: rows and features are exchanged, every device multiplies its
//!   features of all rows, and the products are summed.
//!
//! A weight whose logical axes a rule table names as staying (`stays`) does so where that moves fewer bytes.

use std::collections::HashMap;

use porter_ir::{InputRole, Mesh, Op, OpId, Program, Sharding, TensorType, Value};

use super::{
    profile::{Named, named},
    rules::Rules,
    without,
};
use crate::linear::layer_of;

/// What meets a weight in an op that it could stay split for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Use {
    pub(super) meets: Meets,
    /// The ids, `[..]`, or the rows, `[.., features]`.
    pub(super) x: Named,
    /// What the op gives.
    result: TensorType,
}

/// How an op reads a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Meets {
    /// A lookup in a table `[ids, features]`.
    Ids,
    /// A product with a weight `[out, features]`.
    Rows,
}

/// How the values around an op lie whose weight stays.
pub(super) struct Moved {
    /// What meets the weight.
    pub(super) x: Sharding,
    /// What the op gives, before its rows go back.
    pub(super) result: Sharding,
    /// The axes that the weight is not gathered over.
    pub(super) axes: Vec<String>,
}

/// The ops that read each weight, where it could stay split for all of them.
pub(super) fn uses(program: &Program) -> HashMap<Value, Vec<(OpId, Use)>> {
    let weights = program.inputs().iter().filter(|input| input.role == InputRole::Weight);
    let mut uses: HashMap<Value, Option<Vec<(OpId, Use)>>> =
        weights.map(|input| (input.value, Some(Vec::new()))).collect();
    for &op in &program.region(program.body()).ops {
        for read in program.reads(op) {
            let Some(known) = uses.get_mut(&read) else { continue };
            match (known.as_mut(), Use::of(program, op, read)) {
                (Some(known), Some(of)) => known.push((op, of)),
                _ => *known = None,
            }
        }
    }
    uses.into_iter().filter_map(|(weight, uses)| Some((weight, uses?))).collect()
}

impl Use {
    fn of(program: &Program, op: OpId, weight: Value) -> Option<Self> {
        let data = program.op(op);
        let rank = |value| program.ty(value).shape.rank();
        let (meets, x) = match (&data.op, &data.operands[..]) {
            (Op::Gather(gather), &[table, ids]) if table == weight && ids != weight => {
                let rows = gather.dimensions.collapsed_slice_dims == [0] && rank(table) == 2;
                (rows && gather.dimensions.index_vector_dim == rank(ids)).then_some((Meets::Ids, ids))?
            }
            _ => (Meets::Rows, layer_of(program, op, weight)?.input),
        };
        let result = program.ty(*data.results.first()?).clone();
        // A conversion keeps the names of what it converts.
        let converted = match program.giver(x) {
            Some(giver) if matches!(giver.op, Op::Convert(_)) => giver.operands.first().copied(),
            _ => None,
        };
        let axes = named(program, x).or_else(|| named(program, converted?))?.axes;
        Some(Self { meets, x: Named { ty: program.ty(x).clone(), axes }, result })
    }

    /// How the op lies if its weight, which lies as `stored`, is not gathered; none where it is to be. `x` is how
    /// what meets it lies before.
    pub(super) fn moved(
        &self,
        weight: &Named,
        stored: &Sharding,
        x: &Sharding,
        mesh: &Mesh,
        rules: &Rules,
    ) -> Option<Moved> {
        let [_, features] = &stored.dims[..] else { return None };
        let axes: Vec<String> = features.iter().filter(|axis| rules.gathers(axis)).cloned().collect();
        let used = without(stored, rules);
        let (rows, last) = match self.meets {
            Meets::Ids => (&x.dims[..], None),
            Meets::Rows => x.dims.split_last().map(|(last, rows)| (rows, Some(last)))?,
        };
        let over_rows = axes.iter().all(|axis| rows.iter().flatten().any(|row| row == axis));
        let features_alone = used.dims[1].is_empty() && last.is_none_or(Vec::is_empty);
        if axes.is_empty() || !over_rows || !features_alone || !rules.stays(&weight.axes) {
            return None;
        }
        let whole = rows.iter().map(|row| row.iter().filter(|axis| !axes.contains(axis)).cloned().collect());
        let whole: Vec<Vec<String>> = whole.collect();
        let followed = |last: &[String]| Sharding { dims: [&whole[..], &[last.to_vec()]].concat() };
        let moved = match self.meets {
            Meets::Ids => Moved { x: Sharding { dims: whole.clone() }, result: followed(&axes), axes },
            Meets::Rows => Moved { x: followed(&axes), result: followed(&used.dims[0]), axes },
        };
        // A sum passes each link twice.
        let passes = if self.meets == Meets::Rows { 2 } else { 1 };
        let [x, result] = moved.bytes(self, mesh);
        let moves = x.saturating_add(result.saturating_mul(passes));
        (moves < used.part_type(mesh, &weight.ty).device_bytes()).then_some(moved)
    }
}

impl Moved {
    /// The bytes of what each device holds of an op whose weight stays: of `x` and of the result.
    pub(super) fn bytes(&self, of: &Use, mesh: &Mesh) -> [usize; 2] {
        let part = |sharding: &Sharding, ty: &TensorType| sharding.part_type(mesh, ty).device_bytes();
        [part(&self.x, &of.x.ty), part(&self.result, &of.result)]
    }
}
