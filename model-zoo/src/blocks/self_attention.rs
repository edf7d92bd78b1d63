//! Self-attention of decoders.

use porter_ir::{Builder, Result, Value};

use super::{dims, linear::Linear, norm::rms_norm, rotary::rotary};
use crate::{
    axes::{
        ACTIVATION_HEAD_DIM, ACTIVATION_HEADS, ACTIVATION_KV_HEADS, Axis, BATCH, EMBED, HEADS, KV_HEADS,
        LENGTH, heads, named, stream,
    },
    sequence::Sequence,
};

/// `LlamaAttention` and its like: grouped-query attention (arXiv:2305.13245) with rotary positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelfAttention {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    /// Whether `q_proj`, `k_proj` and `v_proj` have biases.
    pub(crate) qkv_bias: bool,
    /// Whether `o_proj` has a bias.
    pub(crate) output_bias: bool,
    /// The epsilon of `q_norm` and `k_norm`, which norm each head before it is rotated.
    pub(crate) qk_norm: Option<f64>,
    /// How many slots a token sees, itself among them.
    pub(crate) window: Option<usize>,
}

impl SelfAttention {
    /// Applies the layer `index` to `x` (`[batch, tokens, hidden_size]`) at the builder's path.
    pub(crate) fn apply(&self, b: &Builder, x: Value, index: usize, sequence: &Sequence) -> Result<Value> {
        let [.., hidden_size] = dims::<3>(b, x)?;
        let kv = [KV_HEADS, ACTIVATION_KV_HEADS];
        let q = self.heads(b, "q_proj", x, self.heads, [HEADS, ACTIVATION_HEADS], sequence)?;
        let k = self.heads(b, "k_proj", x, self.kv_heads, kv.clone(), sequence)?;
        let v = self.heads(b, "v_proj", x, self.kv_heads, kv, sequence)?;
        let (q, k) = match self.qk_norm {
            Some(epsilon) => {
                (rms_norm(&b.scope("q_norm"), q, epsilon)?, rms_norm(&b.scope("k_norm"), k, epsilon)?)
            }
            None => (q, k),
        };
        let (q, k) = (rotary(b, q, sequence.angles)?, rotary(b, k, sequence.angles)?);
        let mixed = sequence.attend(b, index, [q, k, v], self.window)?;
        named(b, mixed, &[BATCH, LENGTH, heads(&ACTIVATION_HEADS, self.heads)])?;
        let axes = [EMBED, heads(&HEADS, self.heads)];
        let o_proj = Linear { features: hidden_size, bias: self.output_bias, axes };
        stream(b, o_proj.apply(&b.scope("o_proj"), mixed, sequence.precision)?)
    }

    /// A projection of `x`, `[batch, tokens, heads, head_dim]`. `axes` are what heads are in its weight and in
    /// what it gives.
    fn heads(
        &self,
        b: &Builder,
        name: &str,
        x: Value,
        count: usize,
        [weight, activation]: [Axis; 2],
        sequence: &Sequence,
    ) -> Result<Value> {
        let [batch, tokens, _] = dims(b, x)?;
        let features = count.saturating_mul(self.head_dim);
        let linear = Linear { features, bias: self.qkv_bias, axes: [heads(&weight, count), EMBED] };
        let y = linear.apply(&b.scope(name), x, sequence.precision)?;
        let y = b.reshape(y, [batch, tokens, count, self.head_dim])?;
        named(b, y, &[BATCH, LENGTH, activation, ACTIVATION_HEAD_DIM])
    }
}
