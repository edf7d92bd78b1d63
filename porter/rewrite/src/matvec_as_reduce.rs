//! # Matrix-vector products as lane reductions
//!
//! **What.** A dot of one row with a bf16 matrix stored `[out, in]` becomes a multiplication and two sums in
//! f32: first over a middle dimension, in independent lanes, then over the lanes.
//!
//! **Why.** XLA's CPU backend compiles a one-row dot in any type but f32 to scalar code, 6-9 times slower than
//! f32. As a multiplication and a sum it reads each weight once; with the sum split into lanes the additions are
//! independent, so that the loop is vectorised. CPU only: a TPU has matrix units that want the dot.
//!
//! **Before.** `y = dot_general(x: bf16[1, in], w: bf16[out, in])`
//!
//! **After.** With `in = groups · depth · lanes`:
//! `p = reduce_sum(convert_f32(reshape(w)) * broadcast(optimization_barrier(convert_f32(x))), depth)`,
//! `y = reduce_sum(optimization_barrier(p), [groups, lanes])`. The first barrier keeps XLA from merging what made
//! `x` into the broadcast, which would write a whole `[out, in]` tensor; the second keeps both sums apart. The
//! plugin's own reduction kernels (YNN fusions) are slower than this loop and are turned off for the program.
//!
//! **Effect on the numbers.** Neutral: products and sums are in f32, as the dot's accumulator is, in another
//! order.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/performance.md, "One-row products".

use porter_ir::{Builder, DType, OpId, Program, Result, Value};

use crate::{
    CompilerFlag, Edit, Effect, Patch, Port, Rewrite, Site,
    linear::{Linear, linear},
};

/// What the loops of this form are compiled with.
const FLAGS: [CompilerFlag; 2] = [
    CompilerFlag::text("xla_cpu_experimental_ynn_fusion_type", ""),
    CompilerFlag::integer("xla_cpu_prefer_vector_width", 512),
];

/// The width of a vector register in f32: lanes are a multiple of it.
const VECTOR: usize = 16;

/// More lanes than this spill the registers that hold their sums.
const MOST_LANES: usize = 128;

/// Above this depth XLA rewrites a reduction into a tree, which writes the products to memory.
const DEEPEST: usize = 32;

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct MatvecAsReduce;

impl Rewrite for MatvecAsReduce {
    fn name(&self) -> &'static str {
        "matvec_as_reduce"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        for (i, program) in port.programs.iter().enumerate() {
            patch.edits[i] = one_row_products(program).map(|(op, parts)| edit(op, parts)).collect();
            if !patch.edits[i].is_empty() {
                patch.flags[i] = FLAGS.to_vec();
            }
        }
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason =
            format!("{count} products of one row with a bf16 matrix are scalar code on the CPU as dots");
        patch
    }
}

fn one_row_products(program: &Program) -> impl Iterator<Item = (OpId, Linear)> {
    program.region(program.body()).ops.iter().filter_map(|&id| {
        let parts = linear(program, program.op(id))?;
        let rows = program.ty(parts.input).shape.elements() / parts.columns.max(1);
        (rows == 1 && parts.dtype == DType::BF16).then_some((id, parts))
    })
}

fn edit(op: OpId, parts: Linear) -> Edit {
    let replacement = move |site: &Site<'_>| {
        let b = &site.b;
        let weight = site.value(parts.weight)?;
        let input = b.reshape(site.value(parts.input)?, [parts.columns])?;
        let input = b.optimization_barrier(&[b.convert(input, DType::F32)?])?[0];
        let sums = match Lanes::of(parts.columns) {
            Some(lanes) => lanes.product(b, weight, input, parts.rows)?,
            None => {
                let products = multiply(b, weight, input, &[parts.rows, parts.columns])?;
                b.reduce_sum(products, &[1])?
            }
        };
        let output = b.reshape(sums, parts.output.shape.clone())?;
        Ok(vec![b.convert(output, parts.output.dtype)?])
    };
    Edit { ops: vec![op], replacement: Box::new(replacement) }
}

/// A split of a sum: `groups · depth · lanes` terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lanes {
    groups: usize,
    depth: usize,
    lanes: usize,
}

impl Lanes {
    /// The split of `terms` with the fewest groups and, of those, the fewest lanes; none if `terms`
    /// is no multiple of a vector.
    fn of(terms: usize) -> Option<Self> {
        (1..=terms / VECTOR).filter(|groups| terms.is_multiple_of(*groups)).find_map(|groups| {
            let each = terms / groups;
            let fits = |lanes: &usize| each.is_multiple_of(*lanes) && each / lanes <= DEEPEST;
            let lanes = (VECTOR..=MOST_LANES).step_by(VECTOR).find(fits)?;
            Some(Self { groups, depth: each / lanes, lanes })
        })
    }

    /// `w[rows, terms] · x[terms]`.
    fn product(self, b: &Builder, weight: Value, input: Value, rows: usize) -> Result<Value> {
        let products = multiply(b, weight, input, &[rows, self.groups, self.depth, self.lanes])?;
        let partial = b.optimization_barrier(&[b.reduce_sum(products, &[2])?])?[0];
        b.reduce_sum(partial, &[1, 2])
    }
}

/// The products of a bf16 matrix's elements with an f32 vector's, row by row, as `shape`.
fn multiply(b: &Builder, weight: Value, input: Value, shape: &[usize]) -> Result<Value> {
    let weight = b.convert(b.reshape(weight, shape)?, DType::F32)?;
    let input = b.reshape(input, &shape[1..])?;
    let dims: Vec<usize> = (1..shape.len()).collect();
    b.multiply(weight, b.broadcast_in_dim(input, shape, &dims)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Op, TensorType};
    use porter_weights::WeightMap;

    fn port(rows: usize, columns: usize, dtype: DType) -> Port {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(dtype, [1, rows, columns])).unwrap();
        let w = b.weight("w", TensorType::new(dtype, [6, columns])).unwrap();
        b.result("y", b.linear(x, w, dtype).unwrap()).unwrap();
        Port::new(vec![b.finish()], WeightMap::new())
    }

    #[test]
    fn one_bf16_row_has_no_dot_afterwards_and_keeps_its_type() {
        for columns in [4, 576] {
            let port = port(1, columns, DType::BF16);
            let rewritten = MatvecAsReduce.propose(&port).apply(&port).unwrap();
            let program = &rewritten.programs[0];
            assert!(program.ops().all(|(_, op)| !matches!(op.op, Op::DotGeneral(_))));
            assert_eq!(program.ty(program.outputs()[0].value), &TensorType::new(DType::BF16, [1, 1, 6]));
            assert_eq!(rewritten.flags[0], FLAGS);
        }
    }

    #[test]
    fn f32_and_several_rows_stay_dots() {
        assert!(MatvecAsReduce.propose(&port(1, 4, DType::F32)).is_empty());
        assert!(MatvecAsReduce.propose(&port(2, 4, DType::BF16)).is_empty());
    }

    #[test]
    fn every_split_is_whole_and_within_its_bounds() {
        assert_eq!(Lanes::of(576), Some(Lanes { groups: 1, depth: 18, lanes: 32 }));
        assert_eq!(Lanes::of(1536), Some(Lanes { groups: 1, depth: 32, lanes: 48 }));
        assert_eq!(Lanes::of(14336), Some(Lanes { groups: 4, depth: 32, lanes: 112 }));
        assert_eq!(Lanes::of(60), None);
        for terms in (16..20_000).step_by(16) {
            let Lanes { groups, depth, lanes } = Lanes::of(terms).unwrap();
            assert_eq!(groups * depth * lanes, terms);
            assert!(depth <= DEEPEST && lanes <= MOST_LANES && lanes % VECTOR == 0);
        }
    }
}
