//! Self-attention of decoders.

use porter_ir::{Builder, Result, Value};

use super::{dims, linear::Linear, norm::rms_norm, rotary::rotary};
use crate::sequence::Sequence;

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
        let q = self.heads(b, "q_proj", x, self.heads, sequence)?;
        let k = self.heads(b, "k_proj", x, self.kv_heads, sequence)?;
        let v = self.heads(b, "v_proj", x, self.kv_heads, sequence)?;
        let (q, k) = match self.qk_norm {
            Some(epsilon) => {
                (rms_norm(&b.scope("q_norm"), q, epsilon)?, rms_norm(&b.scope("k_norm"), k, epsilon)?)
            }
            None => (q, k),
        };
        let (q, k) = (rotary(b, q, sequence.angles)?, rotary(b, k, sequence.angles)?);
        let mixed = sequence.attend(b, index, [q, k, v], self.window)?;
        let o_proj = Linear { features: hidden_size, bias: self.output_bias };
        o_proj.apply(&b.scope("o_proj"), mixed, sequence.precision)
    }

    /// A projection of `x`, `[batch, tokens, heads, head_dim]`.
    fn heads(&self, b: &Builder, name: &str, x: Value, heads: usize, sequence: &Sequence) -> Result<Value> {
        let [batch, tokens, _] = dims(b, x)?;
        let linear = Linear { features: heads.saturating_mul(self.head_dim), bias: self.qkv_bias };
        let y = linear.apply(&b.scope(name), x, sequence.precision)?;
        b.reshape(y, [batch, tokens, heads, self.head_dim])
    }
}
