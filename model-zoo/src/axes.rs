//! What the dimensions of weights and activations mean, in MaxText's words
//! (`src/maxtext/configs/base.yml`, `logical_axis_rules`). The mesh axes that split them are for rule tables
//! to say.

use porter_ir::{Builder, LogicalAxis, Result, Value};

/// A dimension's logical axis; none for one that is never split.
pub(crate) type Axis = Option<LogicalAxis>;

macro_rules! axes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        $($(#[$doc])* pub(crate) const $name: Axis = Some(LogicalAxis::new($text));)*
    };
}

axes! {
    /// The residual stream's features, in weights.
    EMBED = "embed",
    /// The features between the two layers of a feed-forward block, in weights.
    MLP = "mlp",
    /// Experts, in weights.
    EXPERT = "exp",
    /// Query heads, in weights: a dimension of whole heads.
    HEADS = "heads",
    /// Key-value heads, likewise.
    KV_HEADS = "kv_heads",
    /// Token ids, in weights.
    VOCAB = "vocab",
    /// Vectors along the residual stream: weights of norms and biases.
    NORM = "norm",
    /// Sequences.
    BATCH = "activation_batch",
    /// Tokens of a sequence that one run reads.
    LENGTH = "activation_length",
    /// The residual stream's features.
    ACTIVATION_EMBED = "activation_embed",
    /// The features inside a feed-forward block.
    ACTIVATION_MLP = "activation_mlp",
    /// Query heads.
    ACTIVATION_HEADS = "activation_heads",
    /// Key-value heads.
    ACTIVATION_KV_HEADS = "activation_kv_heads",
    /// The numbers of one head.
    ACTIVATION_HEAD_DIM = "activation_head_dim",
    /// Keys that queries are compared with.
    ACTIVATION_KV_LENGTH = "activation_kv_length",
    /// Logits of token ids.
    ACTIVATION_VOCAB = "activation_vocab",
    /// Sequences of a KV cache.
    CACHE_BATCH = "cache_batch",
    /// Key-value heads of a KV cache.
    CACHE_HEADS = "cache_heads",
    /// Slots of a KV cache.
    CACHE_SEQUENCE = "cache_sequence",
    /// The numbers of one head of a KV cache.
    CACHE_HEAD_DIM = "cache_head_dim",
}

/// A dimension that is never split.
pub(crate) const WHOLE: Axis = None;

/// `x`, whose dimensions mean `axes`.
pub(crate) fn named(b: &Builder, x: Value, axes: &[Axis]) -> Result<Value> {
    b.logical_axes(x, axes)?;
    Ok(x)
}

/// The axis of a dimension that consists of `parts` heads.
pub(crate) fn heads(axis: &Axis, parts: usize) -> Axis {
    axis.as_ref().map(|axis| axis.of(parts))
}

/// The residual stream, `[batch, tokens, features]`.
pub(crate) fn stream(b: &Builder, x: Value) -> Result<Value> {
    named(b, x, &[BATCH, LENGTH, ACTIVATION_EMBED])
}
