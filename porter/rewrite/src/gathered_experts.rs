//! # Experts gathered by token
//!
//! **What.** In programs of few tokens each token's product is taken with the weights of the experts that it takes, gathered from
//! the stack of all.
//!
//! **Why on TPU.** A step of few tokens is bound by the bytes of its weights. Dense, it reads every expert; gathered, as many as there are
//! pairs of a token and an expert. Two tokens that take one expert read it twice, so pairs have to be fewer than experts; and what is
//! gathered has to stay in vector memory: otherwise it is written and read again, and `grouped_experts` is faster.
//!
//! **Before and after.** `Σe share[t, e] · down[e](...)` over all experts becomes `Σk share[t, k] · D[t, k](silu(G[t, k]·x) ·
//! (U[t, k]·x))`, `G = gate[chosen]` and so on.
//!
//! **Effect on the numbers.** Neutral: the experts that are left out had a share of zero.
//!
//! **Undo.** The weights are untouched.
//!
//! **Evidence.** docs/rewrites.md, "Experts".

use porter_ir::{Builder, DType, DotDimensions, GatherDimensions, Result, Value};

use crate::{
    Effect, Patch, Port, Rewrite,
    experts::{ExpertWeight, Experts, Operands, gated, propose},
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct GatheredExperts {
    /// The most pairs of a token and an expert, as a share of the experts of a layer.
    pub most_pairs: f64,
    /// The most bytes of a projection that are gathered.
    pub most_bytes: usize,
}

impl Rewrite for GatheredExperts {
    fn name(&self) -> &'static str {
        "gathered_experts"
    }

    fn propose(&self, port: &Port) -> Patch {
        let few = |experts: &Experts| {
            experts.are_few(self.most_pairs) && experts.gathered_bytes() <= self.most_bytes
        };
        let mut patch = propose(port, Patch::new(self.name(), Effect::Neutral, port), few, emit);
        let count: usize = patch.edits.iter().map(Vec::len).sum();
        patch.reason = format!("{count} mixtures read the experts that their few tokens take, not all");
        patch
    }
}

fn emit(b: &Builder, experts: &Experts, operands: Operands) -> Result<Value> {
    let Operands { x, shares, chosen, gate, up, down } = operands;
    let of_tokens = |weight| by_token(b, weight, chosen);
    let scaled = |product, weight: ExpertWeight| match weight.scales {
        None => Ok(product),
        Some(scales) => b.multiply(product, of_tokens(scales)?),
    };
    let over_hidden = DotDimensions {
        lhs_batching: vec![0],
        rhs_batching: vec![0],
        lhs_contracting: vec![1],
        rhs_contracting: vec![3],
    };
    let inner = |weight: ExpertWeight| {
        scaled(b.dot_general(x, of_tokens(weight.values)?, over_hidden.clone(), DType::F32)?, weight)
    };
    let middle = gated(b, inner(gate)?, inner(up)?)?;
    let shape = [experts.tokens, experts.chosen, experts.inner];
    let middle = b.multiply(middle, b.broadcast_in_dim(shares, shape, &[0, 1])?)?;
    let middle = b.convert(middle, experts.dtype)?;
    // The sum over experts is part of the product, unless each has its scales.
    let apart = usize::from(down.scales.is_some());
    let over_inner = DotDimensions {
        lhs_batching: vec![0, 1][..=apart].to_vec(),
        rhs_batching: vec![0, 1][..=apart].to_vec(),
        lhs_contracting: vec![1, 2][apart..].to_vec(),
        rhs_contracting: vec![1, 3][apart..].to_vec(),
    };
    let results = scaled(b.dot_general(middle, of_tokens(down.values)?, over_inner, DType::F32)?, down)?;
    if apart == 0 { Ok(results) } else { b.reduce_sum(results, &[1]) }
}

/// The slices of `weight` (`[experts, ..]`) that `chosen` says: `[tokens, chosen, ..]`.
fn by_token(b: &Builder, weight: Value, chosen: Value) -> Result<Value> {
    let mut slice = b.shape(weight).to_vec();
    if let Some(experts) = slice.first_mut() {
        *experts = 1;
    }
    let dimensions = GatherDimensions {
        offset_dims: (2..=slice.len()).collect(),
        collapsed_slice_dims: vec![0],
        start_index_map: vec![0],
        index_vector_dim: 2,
        ..GatherDimensions::default()
    };
    b.gather(weight, chosen, dimensions, &slice)
}
