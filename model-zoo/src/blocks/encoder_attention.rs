//! Self-attention of encoders, which sees every token.

use porter_ir::{Builder, Result, Value};

use super::{attention::attention, dims, linear::Linear};
use crate::{
    Precision,
    axes::{
        ACTIVATION_HEAD_DIM, ACTIVATION_HEADS, ACTIVATION_KV_HEADS, BATCH, EMBED, HEADS, KV_HEADS, LENGTH,
        named,
    },
};

/// `BertSelfAttention`: projections `query`, `key` and `value` of as many numbers as `x` has, each
/// with a bias, and attention over `heads` heads of them. `mask`: `bool[batch, tokens, tokens]`.
pub(crate) fn encoder_attention(
    b: &Builder,
    x: Value,
    heads: usize,
    mask: Value,
    precision: Precision,
) -> Result<Value> {
    let [batch, tokens, hidden_size] = dims(b, x)?;
    let project = |name, weight, activation| -> Result<Value> {
        let axes = [crate::axes::heads(&weight, heads), EMBED];
        let y = Linear { features: hidden_size, bias: true, axes }.apply(&b.scope(name), x, precision)?;
        let y = b.reshape(y, [batch, tokens, heads, hidden_size / heads.max(1)])?;
        named(b, y, &[BATCH, LENGTH, activation, ACTIVATION_HEAD_DIM])
    };
    let q = project("query", HEADS, ACTIVATION_HEADS)?;
    let k = b.transpose(project("key", KV_HEADS, ACTIVATION_KV_HEADS)?, &[0, 2, 1, 3])?;
    let v = b.transpose(project("value", KV_HEADS, ACTIVATION_KV_HEADS)?, &[0, 2, 1, 3])?;
    let mixed = attention(b, q, k, v, mask)?;
    named(b, mixed, &[BATCH, LENGTH, crate::axes::heads(&ACTIVATION_HEADS, heads)])
}
