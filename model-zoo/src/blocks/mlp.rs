//! Gated feed-forward layers.

use porter_ir::{Builder, Result, Value};

use super::{Activation, linear::Linear};
use crate::Precision;

/// `LlamaMLP`: `down_proj(act(gate_proj(x)) · up_proj(x))` ("GLU Variants Improve Transformer",
/// arXiv:2002.05202).
#[derive(Clone, Copy, Debug)]
pub(crate) struct GatedMlp {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) activation: Activation,
    /// Whether the three projections have biases.
    pub(crate) bias: bool,
}

impl GatedMlp {
    /// Applies the layer to `x` (`[.., hidden_size]`) at the builder's path.
    pub(crate) fn apply(&self, b: &Builder, x: Value, precision: Precision) -> Result<Value> {
        let inner = Linear { features: self.intermediate_size, bias: self.bias };
        let outer = Linear { features: self.hidden_size, bias: self.bias };
        let gate = inner.apply(&b.scope("gate_proj"), x, precision)?;
        let up = inner.apply(&b.scope("up_proj"), x, precision)?;
        let gated = b.multiply(self.activation.apply(&b.scope("act_fn"), gate)?, up)?;
        outer.apply(&b.scope("down_proj"), gated, precision)
    }
}
