//! Self-attention of encoders, which sees every token.

use porter_ir::{Builder, Result, Value};

use super::{attention::attention, dims, linear::Linear};
use crate::Precision;

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
    let project = |name| -> Result<Value> {
        let y = Linear { features: hidden_size, bias: true }.apply(&b.scope(name), x, precision)?;
        b.reshape(y, [batch, tokens, heads, hidden_size / heads.max(1)])
    };
    let q = project("query")?;
    let k = b.transpose(project("key")?, &[0, 2, 1, 3])?;
    let v = b.transpose(project("value")?, &[0, 2, 1, 3])?;
    attention(b, q, k, v, mask)
}
