//! # Matrix-vector products as lane reductions
//!
//! **What.** A dot of one row with a matrix stored `[out, in]` becomes a multiplication and sums in f32. In programs
//! whose linear layers all have one row (decode), the sum is taken in independent lanes first.
//!
//! **Why.** XLA's CPU backend compiles a one-row dot in f32 to a loop on one core, and in any other type to scalar
//! code, 6-9 times slower. As a multiplication and a sum it reads each weight once; in lanes the additions are
//! independent, so that the loop is vectorised, and rows are shared by the cores: memory speed in both types. CPU
//! only: a TPU has matrix units that want the dot.
//!
//! **Before.** `y = dot_general(x: [1, in], w: [out, in])`
//!
//! **After.** With `in = groups · depth · 16`:
//! `p = reduce_sum(f32(reshape(w)) * broadcast(optimization_barrier(f32(x))), depth)`,
//! `y = reduce_sum(optimization_barrier(p), [groups, 16])`. The first barrier keeps XLA from merging what made `x` into
//! the broadcast, which would write a whole `[out, in]` tensor; the second keeps both sums apart. The plugin's own
//! reduction kernels (YNN fusions) are slower than this loop and are turned off for the program. In programs that
//! have other dots too (prefill, with its one-row vocabulary projection) they stay on, and a bf16 product is one plain
//! multiplication and sum.
//!
//! **Effect on the numbers.** Neutral: products and sums are in f32, as the dot's accumulator is, in another
//! order.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/performance.md, "One-row products".

use porter_ir::{Builder, DType, OpId, Program, Result, Value};

use crate::{
    CompilerFlag, Edit, Effect, Patch, Port, Rewrite,
    linear::{Linear, linear},
};

/// What the loops of this form are compiled with.
pub(crate) const FLAGS: [CompilerFlag; 2] = [
    CompilerFlag::text("xla_cpu_experimental_ynn_fusion_type", ""),
    CompilerFlag::integer("xla_cpu_prefer_vector_width", 512),
];

/// Lanes of independent sums: one vector register of f32.
pub(crate) const LANES: usize = 16;

/// Above this depth XLA rewrites a reduction into a tree, which writes the products to memory.
pub(crate) const DEEPEST: usize = 32;

/// Below this depth lanes do not pay.
const SHALLOWEST: usize = 8;

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
            let layers: Vec<(OpId, Linear)> =
                program.ops().filter_map(|(id, op)| Some((id, linear(program, op)?))).collect();
            if layers.is_empty() {
                continue;
            }
            let splits: Option<Vec<Sum>> = layers.iter().map(|(_, layer)| Sum::in_lanes(layer)).collect();
            if let Some(splits) = splits {
                let edits = layers.into_iter().zip(splits);
                patch.edits[i] = edits.map(|((op, layer), sum)| edit(program, op, layer, sum)).collect();
                patch.flags[i] = FLAGS.to_vec();
            } else {
                let scalar = layers.into_iter().filter(|(_, l)| l.is_one_row() && l.dtype == DType::BF16);
                patch.edits[i] = scalar.map(|(op, layer)| edit(program, op, layer, Sum::Whole)).collect();
            }
        }
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason = format!("{count} products of one row are loops on one core, or scalar code, as dots");
        patch
    }
}

fn edit(program: &Program, op: OpId, layer: Linear, sum: Sum) -> Edit {
    Edit::one(program, op, move |site| {
        let b = &site.b;
        let weight = site.value(layer.weight)?;
        let input = b.reshape(site.value(layer.input)?, [layer.columns])?;
        let input = b.optimization_barrier(&[b.convert(input, DType::F32)?])?[0];
        let output = b.reshape(sum.product(b, weight, input, &layer)?, layer.output.shape.clone())?;
        Ok(vec![b.convert(output, layer.output.dtype)?])
    })
}

/// How the sum over a row is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sum {
    /// In one go.
    Whole,
    /// Over `depth` first, in `groups` times sixteen lanes.
    InLanes { groups: usize, depth: usize },
}

impl Sum {
    /// The sum in lanes for a product of one row; none where lanes do not pay.
    fn in_lanes(layer: &Linear) -> Option<Self> {
        let terms = layer.columns / LANES;
        let depth = (SHALLOWEST..=DEEPEST).rev().find(|depth| terms.is_multiple_of(*depth))?;
        let whole = layer.columns.is_multiple_of(LANES) && terms > 0;
        let plain = matches!(layer.dtype, DType::BF16 | DType::F32);
        (layer.is_one_row() && whole && plain).then_some(Sum::InLanes { groups: terms / depth, depth })
    }

    /// `w[rows, columns] · x[columns]`.
    fn product(self, b: &Builder, weight: Value, input: Value, layer: &Linear) -> Result<Value> {
        match self {
            Sum::Whole => b.reduce_sum(multiply(b, weight, input, &[layer.rows, layer.columns])?, &[1]),
            Sum::InLanes { groups, depth } => {
                let products = multiply(b, weight, input, &[layer.rows, groups, depth, LANES])?;
                let partial = b.optimization_barrier(&[b.reduce_sum(products, &[2])?])?[0];
                b.reduce_sum(b.reshape(partial, [layer.rows, groups * LANES])?, &[1])
            }
        }
    }
}

/// The products of a matrix's elements with an f32 vector's, row by row, as `shape`.
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

    fn port(rows: &[usize], columns: usize, dtype: DType) -> Port {
        let b = Builder::new("main");
        for (i, &rows) in rows.iter().enumerate() {
            let x = b.argument(&format!("x{i}"), TensorType::new(dtype, [1, rows, columns])).unwrap();
            let w = b.weight("w", TensorType::new(dtype, [6, columns])).unwrap();
            b.result(&format!("y{i}"), b.linear(x, w, dtype).unwrap()).unwrap();
        }
        Port::new(vec![b.finish()], WeightMap::new())
    }

    fn dots(port: &Port) -> usize {
        port.programs[0].ops().filter(|(_, op)| matches!(op.op, Op::DotGeneral(_))).count()
    }

    #[test]
    fn one_row_has_no_dot_afterwards_and_keeps_its_type() {
        for dtype in [DType::BF16, DType::F32] {
            let port = port(&[1], 576, dtype);
            let rewritten = MatvecAsReduce.propose(&port).apply(&port).unwrap();
            let program = &rewritten.programs[0];
            assert_eq!(dots(&rewritten), 0);
            assert_eq!(program.ty(program.outputs()[0].value), &TensorType::new(dtype, [1, 1, 6]));
            assert_eq!(rewritten.flags[0], FLAGS);
            assert!(program.verify().is_empty());
        }
    }

    #[test]
    fn beside_other_dots_only_bf16_rows_are_rewritten_and_without_flags() {
        let bf16 = port(&[1, 8], 576, DType::BF16);
        let rewritten = MatvecAsReduce.propose(&bf16).apply(&bf16).unwrap();
        assert_eq!((dots(&rewritten), rewritten.flags[0].len()), (1, 0));
        assert!(MatvecAsReduce.propose(&port(&[1, 8], 576, DType::F32)).is_empty());
        assert!(MatvecAsReduce.propose(&port(&[2], 576, DType::BF16)).is_empty());
    }

    #[test]
    fn lanes_divide_the_sum() {
        let split = |columns: usize| {
            let port = port(&[1], columns, DType::F32);
            let program = &port.programs[0];
            let layer = program.ops().find_map(|(_, op)| linear(program, op)).unwrap();
            Sum::in_lanes(&layer)
        };
        assert_eq!(split(576), Some(Sum::InLanes { groups: 2, depth: 18 }));
        assert_eq!(split(1536), Some(Sum::InLanes { groups: 3, depth: 32 }));
        assert_eq!(split(4096), Some(Sum::InLanes { groups: 8, depth: 32 }));
        assert_eq!(split(60), None);
        assert_eq!(split(16 * 7), None);
    }
}
