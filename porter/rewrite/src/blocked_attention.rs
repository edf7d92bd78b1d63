//! # Attention in blocks
//!
//! **What.** Causal attention over a long prompt becomes one loop over pairs of a block of queries and a block of keys
//! that it sees, which keeps a running maximum, a running sum and a running mix ("`FlashAttention`", arXiv:2205.14135;
//! "Online normalizer calculation for softmax", arXiv:1805.02867). In plain StableHLO, no kernel.
//!
//! **Why on TPU.** Scores of a whole prompt do not fit: 16 GiB at 8192 tokens and 32 heads, which v5e does not have. The
//! zoo's form, blocks of queries one after the other in the program, fits but compiles for minutes a layer at that
//! length. The loop's program is of one size whatever the prompt.
//!
//! **Before and after.** `concatenate(attention(q[0:128], k[0:128]), attention(q[128:256], k[0:256]), ...)` becomes
//! `while n < pairs: m, l, acc = update(m, l, acc, q[i[n]], k[j[n]], v[j[n]])`, the pairs being those with `j <= i`.
//!
//! **Effect on the numbers.** Neutral: scores, exponentials and sums stay f32; sums are taken block by block, and rows
//! are divided by their sum after the mix instead of before it.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/rewrites.md, "Long prompts".

use std::collections::HashSet;

use porter_ir::{
    AttributeValue, Builder, DType, Direction, DotDimensions, Literal, Op, OpId, Program, Result, TensorType,
    Value, program::OpData,
};

use crate::{Edit, Effect, Patch, Port, Rewrite};

/// The score of a key that must not be seen, as the zoo's attention has it.
const MASKED: f64 = f32::MIN as f64;

/// Sizes of blocks, the first of which that divides the prompt is taken.
const BLOCKS: [usize; 3] = [512, 256, 128];

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct BlockedAttention {
    /// Prompts of fewer tokens stay as they are.
    pub least_tokens: usize,
}

impl Rewrite for BlockedAttention {
    fn name(&self) -> &'static str {
        "blocked_attention"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        let mut longest = 0;
        for (edits, program) in patch.edits.iter_mut().zip(&port.programs) {
            let found = program.ops().filter_map(|(id, data)| Some((id, Attention::of(program, data)?)));
            for (id, attention) in found.filter(|(_, a)| a.tokens >= self.least_tokens) {
                longest = longest.max(attention.tokens);
                edits.push(edit(program, id, attention));
            }
        }
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason =
            format!("{count} attentions over {longest} tokens would be as many programs as they have blocks");
        patch
    }

    fn left_alone(&self) -> Option<String> {
        Some(format!(
            "no causal attention over {} tokens and more: the scores of shorter prompts fit",
            self.least_tokens
        ))
    }
}

/// Causal attention, written as attention of blocks of queries over the keys up to their end.
#[derive(Clone)]
struct Attention {
    /// `[batch, tokens, heads, dim]`.
    q: Value,
    /// `[batch, kv, slots, dim]`.
    k: Value,
    v: Value,
    /// `bool[batch, tokens, slots]`.
    mask: Value,
    tokens: usize,
    block: usize,
    scale: f64,
}

impl Attention {
    /// The attention whose blocks `data` joins.
    fn of(program: &Program, data: &OpData) -> Option<Self> {
        let Op::Concatenate(joined) = &data.op else { return None };
        let blocks = data.operands.iter().map(|&value| attention(program, value));
        let blocks: Vec<&OpData> = blocks.collect::<Option<_>>()?;
        let whole = |operand: usize| {
            let sources = blocks.iter().map(|block| sliced(program, *block.operands.get(operand)?));
            let sources = sources.collect::<Option<HashSet<Value>>>()?;
            let mut sources = sources.into_iter();
            sources.next().filter(|_| sources.next().is_none())
        };
        let (q, k, v, mask) = (whole(0)?, whole(1)?, whole(2)?, masks(program, &blocks)?);
        let &[_, tokens, ..] = &program.ty(q).shape[..] else { return None };
        let slots = program.ty(k).shape.get(2).copied()?;
        let Op::Composite(composite) = &blocks.first()?.op else { return None };
        let (_, AttributeValue::F64(scale)) =
            composite.attributes.iter().find(|(name, _)| name == "scale")?
        else {
            return None;
        };
        let block = BLOCKS.into_iter().find(|block| tokens.is_multiple_of(*block))?;
        let causal = joined.dimension == 1 && blocks.len() > 1 && slots == tokens;
        causal.then_some(Self { q, k, v, mask, tokens, block, scale: *scale })
    }

    fn emit(&self, b: &Builder, [q, k, v, mask]: [Value; 4]) -> Result<Value> {
        let [batch, tokens, heads, dim] = dims(b, q)?;
        let [_, kv, _, _] = dims(b, k)?;
        let (group, dtype) = (heads / kv.max(1), b.dtype(q));
        let sizes = Sizes { batch, kv, group, dim, block: self.block };
        let q = b.reshape(b.convert(q, b.dtype(k))?, [batch, tokens, kv, group, dim])?;
        let q = b.transpose(q, &[0, 2, 3, 1, 4])?;
        let blocks = tokens / self.block;
        let pairs: Vec<(i32, i32)> = (0..blocks as i32).flat_map(|i| (0..=i).map(move |j| (i, j))).collect();
        let table = |of: fn(&(i32, i32)) -> i32| {
            let values: Vec<i32> = pairs.iter().map(of).collect();
            let literal = Literal::from_slice([values.len()], &values);
            b.constant(literal.map_err(|e| b.error("attention", &[], e.to_string()))?)
        };
        let (queries, keys) = (table(|pair| pair.0)?, table(|pair| pair.1)?);
        let f32 = |shape: &[usize]| TensorType::new(DType::F32, shape);
        let init = [
            b.full(TensorType::scalar(DType::I32), 0.0)?,
            b.full(f32(&sizes.rows()), MASKED)?,
            b.full(f32(&sizes.rows()), 0.0)?,
            b.full(f32(&sizes.mix()), 0.0)?,
            b.full(TensorType::new(dtype, [batch, kv, group, tokens, dim]), 0.0)?,
        ];
        let count = pairs.len() as f64;
        let ended = b.while_(
            &init,
            |b, now| b.compare(first(b, now)?, b.full(TensorType::scalar(DType::I32), count)?, Direction::Lt),
            |b, now| {
                let &[n, most, sum, mix, out] = now else {
                    return Err(b.error("attention", now, "five values are expected"));
                };
                let pair = Pair { b, sizes, i: at(b, queries, n)?, j: at(b, keys, n)?, scale: self.scale };
                let (most, sum, mix) = pair.turn([q, k, v, mask], [most, sum, mix])?;
                let out = pair.write(out, sum, mix)?;
                Ok(vec![b.add_scalar(n, 1.0)?, most, sum, mix, out])
            },
        )?;
        let out = ended.last().copied().ok_or_else(|| b.error("attention", &ended, "it has no result"))?;
        b.reshape(b.transpose(out, &[0, 3, 1, 2, 4])?, [batch, tokens, heads * dim])
    }
}

#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    kv: usize,
    group: usize,
    dim: usize,
    block: usize,
}

impl Sizes {
    fn rows(self) -> [usize; 4] {
        [self.batch, self.kv, self.group, self.block]
    }

    fn mix(self) -> [usize; 5] {
        [self.batch, self.kv, self.group, self.block, self.dim]
    }
}

/// One turn of the loop: block `i` of the queries over block `j` of the keys.
struct Pair<'a> {
    b: &'a Builder,
    sizes: Sizes,
    i: Value,
    j: Value,
    scale: f64,
}

impl Pair<'_> {
    /// The running maximum, sum and mix of the block's rows, which begin anew with the first keys.
    fn turn(&self, [q, k, v, mask]: [Value; 4], before: [Value; 3]) -> Result<(Value, Value, Value)> {
        let b = self.b;
        let Sizes { batch, kv, group, dim, block } = self.sizes;
        let begins = b.compare(self.j, b.full_like(self.j, 0.0)?, Direction::Eq)?;
        let anew = |value: Value, fresh: f64| {
            let begins = b.broadcast_in_dim(begins, b.shape(value), &[])?;
            b.select(begins, b.full_like(value, fresh)?, value)
        };
        let [most, sum, mix] = before;
        let (most, sum, mix) = (anew(most, MASKED)?, anew(sum, 0.0)?, anew(mix, 0.0)?);

        let zero = b.full_like(self.i, 0.0)?;
        let (first_query, first_key) = (self.start(self.i)?, self.start(self.j)?);
        let query_starts = [zero, zero, zero, first_query, zero];
        let q = b.dynamic_slice(q, &query_starts, &[batch, kv, group, block, dim])?;
        let key_starts = [zero, zero, first_key, zero];
        let k = b.dynamic_slice(k, &key_starts, &[batch, kv, block, dim])?;
        let v = b.dynamic_slice(v, &key_starts, &[batch, kv, block, dim])?;
        let mask = b.dynamic_slice(mask, &[zero, first_query, first_key], &[batch, block, block])?;

        let scores = b.dot_general(q, k, product(4, 3), DType::F32)?;
        let scores = b.multiply_scalar(scores, self.scale)?;
        let mask = b.broadcast_in_dim(mask, b.shape(scores), &[0, 3, 4])?;
        let scores = b.select(mask, scores, b.full_like(scores, MASKED)?)?;

        let largest = b.maximum(most, b.reduce_max(scores, &[4])?)?;
        let spread = |value: Value, like: Value| b.broadcast_in_dim(value, b.shape(like), &[0, 1, 2, 3]);
        let weights = b.exponential(b.subtract(scores, spread(largest, scores)?)?)?;
        let shrink = b.exponential(b.subtract(most, largest)?)?;
        let sum = b.add(b.multiply(sum, shrink)?, b.reduce_sum(weights, &[4])?)?;
        let mixed = b.dot_general(b.convert(weights, b.dtype(v))?, v, product(4, 2), DType::F32)?;
        let mix = b.add(b.multiply(mix, spread(shrink, mix)?)?, mixed)?;
        Ok((largest, sum, mix))
    }

    /// `out` with the rows of this block, which are final after its last keys.
    fn write(&self, out: Value, sum: Value, mix: Value) -> Result<Value> {
        let b = self.b;
        let rows = b.divide(mix, b.broadcast_in_dim(sum, b.shape(mix), &[0, 1, 2, 3])?)?;
        let zero = b.full_like(self.i, 0.0)?;
        let starts = [zero, zero, zero, self.start(self.i)?, zero];
        b.dynamic_update_slice(out, b.convert(rows, b.dtype(out))?, &starts)
    }

    fn start(&self, block: Value) -> Result<Value> {
        self.b.multiply_scalar(block, self.sizes.block as f64)
    }
}

/// A product over the given dimensions of both sides, batched over the first two.
fn product(lhs: usize, rhs: usize) -> DotDimensions {
    DotDimensions {
        lhs_batching: vec![0, 1],
        rhs_batching: vec![0, 1],
        lhs_contracting: vec![lhs],
        rhs_contracting: vec![rhs],
    }
}

/// Number `n` of a table.
fn at(b: &Builder, table: Value, n: Value) -> Result<Value> {
    let one = b.dynamic_slice(table, &[n], &[1])?;
    b.reshape(one, Vec::new())
}

fn first(b: &Builder, values: &[Value]) -> Result<Value> {
    values.first().copied().ok_or_else(|| b.error("attention", values, "a value is expected"))
}

fn dims(b: &Builder, value: Value) -> Result<[usize; 4]> {
    let shape = b.shape(value).to_vec();
    shape.try_into().map_err(|_| b.error("attention", &[value], "four dimensions are expected"))
}

/// The attention that computes `value`.
fn attention(program: &Program, value: Value) -> Option<&OpData> {
    let data = program.giver(value)?;
    match &data.op {
        Op::Composite(composite) if composite.name == "porter.attention" => Some(data),
        _ => None,
    }
}

/// What `value` is a part of; itself where it is the whole.
fn sliced(program: &Program, value: Value) -> Option<Value> {
    match program.giver(value) {
        Some(OpData { op: Op::Slice(_), operands, .. }) => operands.first().copied(),
        _ => Some(value),
    }
}

/// The whole mask, of which each block's is cut by its queries and then by its keys.
fn masks(program: &Program, blocks: &[&OpData]) -> Option<Value> {
    let whole = |block: &&OpData| sliced(program, sliced(program, *block.operands.get(3)?)?);
    let sources: HashSet<Value> = blocks.iter().map(whole).collect::<Option<_>>()?;
    let mut sources = sources.into_iter();
    sources.next().filter(|_| sources.next().is_none())
}

fn edit(program: &Program, op: OpId, attention: Attention) -> Edit {
    Edit::one(program, op, move |site| {
        let Attention { q, k, v, mask, .. } = attention;
        let operands = [site.value(q)?, site.value(k)?, site.value(v)?, site.value(mask)?];
        Ok(vec![attention.emit(&site.b, operands)?])
    })
}
