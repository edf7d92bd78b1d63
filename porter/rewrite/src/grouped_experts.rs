//! # Tokens grouped by expert
//!
//! **What.** In programs of many tokens, or of very few, pairs of a token and an expert that it takes are put in order of experts, each expert's
//! filled up to whole blocks, and a loop takes one expert's product of a block a turn. No token is dropped. In plain
//! StableHLO, no kernel ("`MegaBlocks`", arXiv:2211.15841, has the same blocks as a sparse product).
//!
//! **Why on TPU.** Dense, a token is multiplied with every expert, which is 4 times the work in Mixtral and 16 times in Qwen3.
//! A turn of the loop costs some 10 us beside its products, so blocks have to be large, and experts to have that many tokens. A
//! step of very few tokens reads only the experts that they take.
//!
//! **Before and after.** `Σe share[t, e] · expert[e](x[t])` over all experts becomes `rows = x[token[slot]]`,
//! `while n < blocks: rows[n] = expert[of[n]](rows[n])`, `y[t] = Σk share[t, k] · rows[slot[t, k]]`. There are as many blocks as
//! there can be: one begun for each expert, and the rest full.
//!
//! **Effect on the numbers.** Neutral: the experts that are left out had a share of zero, and shares are multiplied after the
//! last product instead of before it.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/rewrites.md, "Experts".

use porter_ir::{Builder, DType, Direction, Result, TensorType, Value};

use crate::{
    Effect, Patch, Port, Rewrite,
    experts::{ExpertWeight, Experts, Operands, gated, propose},
};

/// Rows of a block, the most first.
const BLOCKS: [usize; 3] = [512, 256, 8];

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct GroupedExperts {
    /// The most pairs of a token and an expert in a program of few tokens, as a share of the experts of a layer.
    pub most_pairs: f64,
    /// The fewest tokens that an expert has on average in a program of many.
    pub least_tokens: usize,
}

impl Rewrite for GroupedExperts {
    fn name(&self) -> &'static str {
        "grouped_experts"
    }

    fn propose(&self, port: &Port) -> Patch {
        let fits = |experts: &Experts| {
            experts.are_few(self.most_pairs) || experts.pairs() / experts.count >= self.least_tokens
        };
        let mut patch = propose(port, Patch::new(self.name(), Effect::Neutral, port), fits, emit);
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason =
            format!("{count} mixtures take each token's own experts, in blocks of one expert's tokens");
        patch
    }

    fn left_alone(&self) -> Option<String> {
        Some(format!(
            "no mixture on one device whose experts have {} tokens and more, or of which few are taken: smaller blocks \
             cost more than they save",
            self.least_tokens
        ))
    }
}

fn emit(b: &Builder, experts: &Experts, operands: Operands) -> Result<Value> {
    let Operands { x, shares, chosen, gate, up, down } = operands;
    let &Experts { tokens, hidden, inner, .. } = experts;
    let plan = Plan::new(b, experts, chosen)?;
    let rows = b.embedding(x, plan.token_of_slot)?;
    let i32 = |value: usize| b.full(TensorType::scalar(DType::I32), value as f64);
    let (count, zero) = (i32(plan.blocks)?, i32(0)?);
    let block = plan.block;
    let ended = b.while_(
        &[zero, rows],
        |b, now| match now {
            &[n, _] => b.compare(n, count, Direction::Lt),
            _ => Err(b.error("experts", now, "two values are expected")),
        },
        |b, now| {
            let &[n, rows] = now else { return Err(b.error("experts", now, "two values are expected")) };
            let zero = b.full_like(n, 0.0)?;
            let expert = b.reshape(b.dynamic_slice(plan.expert_of_block, &[n], &[1])?, Vec::new())?;
            let product = |x: Value, weight: ExpertWeight, rows: usize, columns: usize| {
                let own = b.dynamic_slice(weight.values, &[expert, zero, zero], &[1, rows, columns])?;
                let y = b.linear(x, b.reshape(own, [rows, columns])?, DType::F32)?;
                let Some(scales) = weight.scales else { return Ok(y) };
                let own = b.reshape(b.dynamic_slice(scales, &[expert, zero], &[1, rows])?, [rows])?;
                b.multiply(y, b.broadcast_in_dim(own, [block, rows], &[1])?)
            };
            let start = b.multiply_scalar(n, block as f64)?;
            let x = b.dynamic_slice(rows, &[start, zero], &[block, hidden])?;
            let gate = product(x, gate, inner, hidden)?;
            let up = product(x, up, inner, hidden)?;
            let middle = b.convert(gated(b, gate, up)?, experts.dtype)?;
            let y = b.convert(product(middle, down, hidden, inner)?, b.dtype(rows))?;
            Ok(vec![b.add_scalar(n, 1.0)?, b.dynamic_update_slice(rows, y, &[start, zero])?])
        },
    )?;
    let &[_, results] = &ended[..] else { return Err(b.error("experts", &ended, "two values are expected")) };
    let shape = [tokens, experts.chosen, hidden];
    let results = b.reshape(b.embedding(results, plan.slot_of_pair)?, shape)?;
    let shared = b.multiply(b.convert(results, DType::F32)?, b.broadcast_in_dim(shares, shape, &[0, 1])?)?;
    b.reduce_sum(shared, &[1])
}

/// Which rows each block has.
struct Plan {
    /// Rows of a block.
    block: usize,
    blocks: usize,
    /// `i32[blocks]`.
    expert_of_block: Value,
    /// `i32[blocks · block]`; of a slot that no pair fills, any.
    token_of_slot: Value,
    /// `i32[tokens · chosen]`.
    slot_of_pair: Value,
}

impl Plan {
    fn new(b: &Builder, experts: &Experts, chosen: Value) -> Result<Self> {
        let (pairs, count) = (experts.pairs(), experts.count);
        let block = BLOCKS.into_iter().find(|block| pairs / count >= *block).unwrap_or(BLOCKS[2]);
        let begun = count.min(pairs);
        let blocks = begun + (pairs - begun) / block;
        let vector = |len: usize| TensorType::new(DType::I32, [len]);
        let expert_of_pair = b.reshape(chosen, [pairs])?;
        let places = b.iota(vector(pairs), 0)?;
        let pair_at = second(b, &in_order(b, expert_of_pair, places)?)?;
        let place_of_pair = second(b, &in_order(b, pair_at, places)?)?;

        // By expert: pairs, blocks, and how many of both come before its own.
        let is_own = is_equal(b, expert_of_pair, b.iota(vector(count), 0)?)?;
        let own = b.reduce_sum(b.convert(is_own, DType::I32)?, &[0])?;
        let full = b.full_like(own, block as f64)?;
        let own_blocks = b.divide(b.add_scalar(own, block as f64 - 1.0)?, full)?;
        let (before, blocks_before) = (sum_before(b, own)?, sum_before(b, own_blocks)?);

        // The last expert whose blocks begin at or before this one; blocks of experts without pairs are none.
        let ends = b.add(blocks_before, own_blocks)?;
        let block_at = b.iota(vector(blocks), 0)?;
        let grid = [blocks, count];
        let passed = b.compare(
            b.broadcast_in_dim(ends, grid, &[1])?,
            b.broadcast_in_dim(block_at, grid, &[0])?,
            Direction::Le,
        )?;
        let expert = b.reduce_sum(b.convert(passed, DType::I32)?, &[1])?;
        let expert_of_block = b.minimum(expert, b.full_like(expert, count as f64 - 1.0)?)?;

        let of_expert = |table: Value, expert: Value| {
            let rows = b.embedding(b.reshape(table, [count, 1])?, expert)?;
            b.reshape(rows, b.shape(expert))
        };
        // Where an expert's slots begin, less where its pairs do.
        let shift = b.subtract(b.multiply_scalar(blocks_before, block as f64)?, before)?;
        let slot_of_pair = b.add(place_of_pair, of_expert(shift, expert_of_pair)?)?;
        let shift_of_block = of_expert(shift, expert_of_block)?;
        let shift_of_slot =
            b.reshape(b.broadcast_in_dim(shift_of_block, [blocks, block], &[0])?, [blocks * block])?;
        let place = b.subtract(b.iota(vector(blocks * block), 0)?, shift_of_slot)?;
        let pair = b.embedding(b.reshape(pair_at, [pairs, 1])?, place)?;
        let pair = b.reshape(pair, [blocks * block])?;
        let token_of_slot = b.divide(pair, b.full_like(pair, experts.chosen as f64)?)?;
        Ok(Self { block, blocks, expert_of_block, token_of_slot, slot_of_pair })
    }
}

/// `keys` in order, and `values` with them; equal keys as they were.
fn in_order(b: &Builder, keys: Value, values: Value) -> Result<Vec<Value>> {
    b.sort(&[keys, values], 0, true, |b, pair| match pair {
        &[left, right, ..] => b.compare(left, right, Direction::Lt),
        _ => Err(b.error("sort", pair, "four values are expected")),
    })
}

fn second(b: &Builder, values: &[Value]) -> Result<Value> {
    values.get(1).copied().ok_or_else(|| b.error("sort", values, "two results are expected"))
}

/// Whether each of `x` is each of `y`: `bool[x, y]`.
fn is_equal(b: &Builder, x: Value, y: Value) -> Result<Value> {
    let grid = [b.shape(x).elements(), b.shape(y).elements()];
    b.compare(b.broadcast_in_dim(x, grid, &[0])?, b.broadcast_in_dim(y, grid, &[1])?, Direction::Eq)
}

/// The sum of those before each of `x`.
fn sum_before(b: &Builder, x: Value) -> Result<Value> {
    let len = b.shape(x).elements();
    let ty = TensorType::new(DType::I32, [len, len]);
    let is_before = b.compare(b.iota(ty.clone(), 0)?, b.iota(ty, 1)?, Direction::Lt)?;
    let x = b.broadcast_in_dim(x, [len, len], &[0])?;
    b.reduce_sum(b.select(is_before, x, b.full_like(x, 0.0)?)?, &[0])
}
