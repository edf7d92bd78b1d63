//! Scaled dot-product attention over grouped heads.

use porter_ir::{Builder, DType, DotDimensions, Result, Value};

use super::{cast, composite, dims, softmax};

/// The score of a key that must not be seen. Finite, so that a row that sees no key at all gives an
/// average and not NaN; the value that transformers' eager attention uses.
const MASKED: f64 = f32::MIN as f64;

/// `softmax(q · kᵀ / √head_dim) · v` ("Attention Is All You Need", arXiv:1706.03762), each group of
/// query heads reading its one key-value head in place (arXiv:2305.13245).
///
/// - `q`: `[batch, tokens, heads, head_dim]`, in the activations' type
/// - `k`, `v`: `[batch, kv_heads, slots, head_dim]`; the products take their operands in this type
/// - `mask`: `bool[batch, tokens, slots]`, true where a token sees a slot
/// - result: `[batch, tokens, heads · head_dim]`, in the type of `q`
///
/// Scores, softmax and accumulators are `f32`.
pub(crate) fn attention(b: &Builder, q: Value, k: Value, v: Value, mask: Value) -> Result<Value> {
    let [batch, tokens, heads, head_dim] = dims(b, q)?;
    let [_, kv_heads, slots, _] = dims(b, k)?;
    if kv_heads == 0 || heads % kv_heads != 0 {
        return Err(b.error("attention", &[q, k], "the query heads do not divide over the key-value heads"));
    }
    let scale = (head_dim as f64).powf(-0.5);
    let (dtype, kv_dtype) = (b.dtype(q), b.dtype(k));
    let grouped = [batch, tokens, kv_heads, heads / kv_heads, head_dim];
    let scores_shape = [batch, kv_heads, tokens, heads / kv_heads, slots];
    composite(b, "porter.attention", &[("scale", scale)], [q, k, v, mask], |b, [q, k, v, mask]| {
        let q = b.reshape(cast(b, q, kv_dtype)?, grouped)?;
        let scores = b.multiply_scalar(b.dot_general(q, k, SCORES.dimensions(), DType::F32)?, scale)?;
        let mask = b.broadcast_in_dim(mask, scores_shape, &[0, 2, 4])?;
        let scores = b.select(mask, scores, b.full_like(scores, MASKED)?)?;
        let weights = cast(b, softmax(b, scores)?, kv_dtype)?;
        let mixed = b.dot_general(weights, v, MIX.dimensions(), DType::F32)?;
        let mixed = b.transpose(mixed, &[0, 2, 1, 3, 4])?;
        cast(b, b.reshape(mixed, [batch, tokens, heads * head_dim])?, dtype)
    })
}

/// Queries that [`causal_attention`] takes together.
const QUERY_BLOCK: usize = 128;

/// [`attention`] where query `i` sees no key after `i` (as many slots as tokens): queries are taken in
/// blocks, and each block reads the keys up to its end only. That halves the work on long prompts, and
/// bounds the score matrix to one block's rows. The barrier keeps compilers from computing what made
/// the operands again for every block that slices them.
pub(crate) fn causal_attention(b: &Builder, q: Value, k: Value, v: Value, mask: Value) -> Result<Value> {
    let [_, tokens, ..] = dims::<4>(b, q)?;
    if tokens <= QUERY_BLOCK {
        return attention(b, q, k, v, mask);
    }
    let pinned = b.optimization_barrier(&[q, k, v])?;
    let &[q, k, v] = &pinned[..] else {
        return Err(b.error("attention", &pinned, "three values are expected"));
    };
    let blocks = (0..tokens).step_by(QUERY_BLOCK).map(|start| {
        let end = tokens.min(start + QUERY_BLOCK);
        let q = b.slice_dim(q, 1, start, end)?;
        let (k, v) = (b.slice_dim(k, 2, 0, end)?, b.slice_dim(v, 2, 0, end)?);
        let mask = b.slice_dim(b.slice_dim(mask, 1, start, end)?, 2, 0, end)?;
        attention(b, q, k, v, mask)
    });
    b.concatenate(&blocks.collect::<Result<Vec<_>>>()?, 1)
}

/// Batching and contracting dimensions of a product, left and right.
struct Product {
    batching: ([usize; 2], [usize; 2]),
    contracting: (usize, usize),
}

/// `[batch, tokens, kv, group, dim] · [batch, kv, slots, dim] -> [batch, kv, tokens, group, slots]`
const SCORES: Product = Product { batching: ([0, 2], [0, 1]), contracting: (4, 3) };

/// `[batch, kv, tokens, group, slots] · [batch, kv, slots, dim] -> [batch, kv, tokens, group, dim]`
const MIX: Product = Product { batching: ([0, 1], [0, 1]), contracting: (4, 2) };

impl Product {
    fn dimensions(&self) -> DotDimensions {
        DotDimensions {
            lhs_batching: self.batching.0.to_vec(),
            rhs_batching: self.batching.1.to_vec(),
            lhs_contracting: vec![self.contracting.0],
            rhs_contracting: vec![self.contracting.1],
        }
    }
}
