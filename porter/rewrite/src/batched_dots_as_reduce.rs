//! # Batched products of few rows as lane reductions
//!
//! **What.** In programs whose linear layers are lane reductions (see `matvec_as_reduce`), a batched product of a few
//! rows, as a decode step's attention has two of, becomes a multiplication and two sums likewise.
//!
//! **Why.** A dot wants its operands whole in memory: XLA's CPU backend copies a layer's keys and values out of the
//! stacked cache first. In a multiplication the slice of the cache is part of the loop that reads it. CPU only.
//!
//! **Before.** `scores = dot_general(q: [b, kv, rows, d], k: [b, kv, slots, d])`,
//! `mixed = dot_general(p: [b, kv, rows, slots], v: [b, kv, slots, d])`
//!
//! **After.** With the contracted dimension split in two, `depth` of at most 32 and the rest: products, their sum
//! over `depth`, an `optimization_barrier`, the sum over the rest. Where the contracted dimension is the innermost
//! one the rest is sixteen lanes; where it is not, the innermost dimension has the lanes.
//!
//! **Effect on the numbers.** Neutral: products and sums are in f32, in another order.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/performance.md, "Attention over the cache".

use porter_ir::{
    Builder, DType, Op, OpId, Program, Result, Value,
    ops::{DotDimensions, DotGeneral},
    program::OpData,
};

use crate::{
    Edit, Effect, Patch, Port, Rewrite,
    matvec_as_reduce::{DEEPEST, FLAGS, LANES},
};

/// More rows than this read the right operand too often.
const MOST_ROWS: usize = 16;

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct BatchedDotsAsReduce;

impl Rewrite for BatchedDotsAsReduce {
    fn name(&self) -> &'static str {
        "batched_dots_as_reduce"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        for (i, program) in port.programs.iter().enumerate() {
            if port.flags[i] == FLAGS {
                let products = program.ops().filter_map(|(id, op)| Some((id, Product::of(program, op)?)));
                patch.edits[i] = products.map(|(id, product)| edit(program, id, product)).collect();
            }
        }
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason = format!("{count} products of few rows with a cache would copy it as dots");
        patch
    }
}

fn edit(program: &Program, op: OpId, product: Product) -> Edit {
    let operands = program.op(op).operands.clone();
    Edit::one(program, op, move |site| {
        let (lhs, rhs) = (site.value(operands[0])?, site.value(operands[1])?);
        Ok(vec![product.emit(&site.b, lhs, rhs)?])
    })
}

/// `[batch.., rows.., inner] · [batch.., n, inner]` or `· [batch.., inner, n]`, as `[batch.., rows.., n]`.
#[derive(Clone, Debug)]
struct Product {
    /// The left operand's dimensions in the order batching, free, contracting.
    order: Vec<usize>,
    /// The sizes of the batching dimensions, and of the free ones of the left operand.
    batch: Vec<usize>,
    rows: Vec<usize>,
    n: usize,
    /// The two factors of the contracted dimension, of which the first is summed first.
    depth: usize,
    rest: usize,
    /// Whether the contracted dimension is the right operand's innermost.
    innermost: bool,
    output: DType,
}

impl Product {
    fn of(program: &Program, data: &OpData) -> Option<Self> {
        let (Op::DotGeneral(DotGeneral { dimensions: d, output }), &[lhs, rhs]) =
            (&data.op, &data.operands[..])
        else {
            return None;
        };
        let (left, right) = (&program.ty(lhs).shape, &program.ty(rhs).shape);
        let (&[left_inner], &[right_inner]) = (&d.lhs_contracting[..], &d.rhs_contracting[..]) else {
            return None;
        };
        let batching = d.rhs_batching.len();
        let plain =
            d.rhs_batching.iter().copied().eq(0..batching) && right.rank() == batching + 2 && batching > 0;
        if !plain {
            return None;
        }
        let free = free_dimensions(d, left.rank());
        let innermost = right_inner == batching + 1;
        let (depth, rest) = split(right[right_inner], innermost)?;
        let rows: Vec<usize> = free.iter().map(|&i| left[i]).collect();
        let few = rows.iter().product::<usize>() <= MOST_ROWS;
        few.then(|| Self {
            order: [&d.lhs_batching[..], &free, &[left_inner]].concat(),
            batch: right[..batching].to_vec(),
            rows,
            n: right[if innermost { batching } else { batching + 1 }],
            depth,
            rest,
            innermost,
            output: *output,
        })
    }

    fn emit(&self, b: &Builder, lhs: Value, rhs: Value) -> Result<Value> {
        let (batch, rows) = (self.batch.len(), self.rows.len());
        let (inner, columns) = if self.innermost {
            ([self.depth, self.rest], vec![self.n, self.depth, self.rest])
        } else {
            ([self.rest, self.depth], vec![self.rest, self.depth, self.n])
        };
        let all = [&self.batch[..], &self.rows, &columns].concat();
        let lhs = b.convert(b.transpose(lhs, &self.order)?, DType::F32)?;
        let lhs = b.reshape(lhs, [&self.batch[..], &self.rows, &inner].concat())?;
        let rhs = b.convert(rhs, DType::F32)?;
        let rhs = b.reshape(rhs, [&self.batch[..], &columns].concat())?;

        let first = batch + rows;
        let inner_dims = if self.innermost { [first + 1, first + 2] } else { [first, first + 1] };
        let lhs_dims: Vec<usize> = (0..first).chain(inner_dims).collect();
        let rhs_dims: Vec<usize> = (0..batch).chain(first..first + 3).collect();
        let lhs = b.broadcast_in_dim(lhs, all.clone(), &lhs_dims)?;
        let products = b.multiply(lhs, b.broadcast_in_dim(rhs, all, &rhs_dims)?)?;

        let depth = first + 1;
        let partial = b.optimization_barrier(&[b.reduce_sum(products, &[depth])?])?[0];
        let rest = if self.innermost { first + 1 } else { first };
        b.convert(b.reduce_sum(partial, &[rest])?, self.output)
    }
}

/// Depth and rest of a contracted dimension of `size`.
fn split(size: usize, innermost: bool) -> Option<(usize, usize)> {
    if innermost {
        let depth = size / LANES;
        return (size.is_multiple_of(LANES) && (1..=DEEPEST).contains(&depth)).then_some((depth, LANES));
    }
    let depth = (LANES..=DEEPEST).rev().find(|depth| size.is_multiple_of(*depth))?;
    Some((depth, size / depth))
}

fn free_dimensions(d: &DotDimensions, rank: usize) -> Vec<usize> {
    (0..rank).filter(|i| !d.lhs_batching.contains(i) && !d.lhs_contracting.contains(i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MatvecAsReduce;
    use porter_ir::TensorType;
    use porter_weights::WeightMap;

    fn attention(rows: usize) -> Port {
        let b = Builder::new("main");
        let f32 = |shape: &[usize]| TensorType::new(DType::F32, shape);
        let q = b.argument("q", f32(&[2, rows, 3, 2, 64])).unwrap();
        let k = b.argument("k", f32(&[2, 3, 128, 64])).unwrap();
        let scores = DotDimensions {
            lhs_batching: vec![0, 2],
            rhs_batching: vec![0, 1],
            lhs_contracting: vec![4],
            rhs_contracting: vec![3],
        };
        let scores = b.dot_general(q, k, scores, DType::F32).unwrap();
        let mix = DotDimensions {
            lhs_batching: vec![0, 1],
            rhs_batching: vec![0, 1],
            lhs_contracting: vec![4],
            rhs_contracting: vec![2],
        };
        b.result("y", b.dot_general(scores, k, mix, DType::F32).unwrap()).unwrap();
        let x = b.argument("x", f32(&[1, 256])).unwrap();
        let w = b.weight("w", f32(&[8, 256])).unwrap();
        b.result("z", b.linear(x, w, DType::F32).unwrap()).unwrap();
        let port = Port::new(vec![b.finish()], WeightMap::new());
        MatvecAsReduce.propose(&port).apply(&port).unwrap()
    }

    #[test]
    fn both_products_of_attention_keep_their_types() {
        let port = attention(1);
        let patch = BatchedDotsAsReduce.propose(&port);
        assert_eq!(patch.edits[0].len(), 2);
        let program = &patch.apply(&port).unwrap().programs[0];
        assert!(program.ops().all(|(_, op)| !matches!(op.op, Op::DotGeneral(_))));
        assert!(program.verify().is_empty());
    }

    #[test]
    fn many_rows_stay_dots() {
        assert!(BatchedDotsAsReduce.propose(&attention(9)).is_empty());
    }
}
