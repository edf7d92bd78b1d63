//! # Matrix-vector products as multiply and reduce
//!
//! **What.** A dot of one row with a bf16 matrix stored `[out, in]` becomes a multiplication and a sum
//! over the rows of the matrix, in f32.
//!
//! **Why.** XLA's CPU backend compiles a one-row dot in any type but f32 to scalar code, 6-9 times slower
//! than f32. The multiply-reduce form is one vectorised loop that reads each weight once, at memory speed.
//! CPU only: a TPU has matrix units that want the dot.
//!
//! **Before.** `y = dot_general(x: bf16[1, in], w: bf16[out, in])`
//!
//! **After.** `y = reduce_sum(convert_f32(w) * broadcast(optimization_barrier(convert_f32(x))), dim 1)`. The barrier
//! keeps XLA from merging what made `x` into the broadcast, which would write a whole `[out, in]` tensor.
//!
//! **Effect on the numbers.** Neutral: products and sums are in f32, as the dot's accumulator is, in
//! another order.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/performance.md, "One-row products".

use porter_ir::{DType, OpId, Program};

use crate::{
    Edit, Effect, Patch, Port, Rewrite, Site,
    linear::{Linear, linear},
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct MatvecAsReduce;

impl Rewrite for MatvecAsReduce {
    fn name(&self) -> &'static str {
        "matvec_as_reduce"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        for (edits, program) in patch.edits.iter_mut().zip(&port.programs) {
            *edits = one_row_products(program).map(|(op, parts)| edit(op, parts)).collect();
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
        let weight = b.convert(weight, DType::F32)?;
        let input = b.broadcast_in_dim(input, b.shape(weight), &[1])?;
        let sums = b.reduce_sum(b.multiply(weight, input)?, &[1])?;
        let output = b.reshape(sums, parts.output.shape.clone())?;
        Ok(vec![b.convert(output, parts.output.dtype)?])
    };
    Edit { ops: vec![op], replacement: Box::new(replacement) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use porter_ir::{Builder, Op, TensorType};
    use porter_weights::WeightMap;

    fn port(rows: usize, dtype: DType) -> Port {
        let b = Builder::new("main");
        let x = b.argument("x", TensorType::new(dtype, [1, rows, 4])).unwrap();
        let w = b.weight("w", TensorType::new(dtype, [6, 4])).unwrap();
        b.result("y", b.linear(x, w, dtype).unwrap()).unwrap();
        Port { programs: vec![b.finish()], weights: WeightMap::new() }
    }

    #[test]
    fn one_bf16_row_has_no_dot_afterwards_and_keeps_its_type() {
        let port = port(1, DType::BF16);
        let rewritten = MatvecAsReduce.propose(&port).apply(&port).unwrap();
        let program = &rewritten.programs[0];
        assert!(program.ops().all(|(_, op)| !matches!(op.op, Op::DotGeneral(_))));
        assert_eq!(program.ty(program.outputs()[0].value), &TensorType::new(DType::BF16, [1, 1, 6]));
    }

    #[test]
    fn f32_and_several_rows_stay_dots() {
        assert!(MatvecAsReduce.propose(&port(1, DType::F32)).is_empty());
        assert!(MatvecAsReduce.propose(&port(2, DType::BF16)).is_empty());
    }
}
