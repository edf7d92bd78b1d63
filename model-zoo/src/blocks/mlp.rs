//! Gated feed-forward layers.

use porter_ir::{Builder, Result, Value};

use super::{Activation, linear::Linear};
use crate::{
    Precision,
    axes::{ACTIVATION_MLP, BATCH, EMBED, LENGTH, MLP, named, stream},
};

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
    /// Applies the layer to `x` (`[batch, tokens, hidden_size]`) at the builder's path.
    pub(crate) fn apply(&self, b: &Builder, x: Value, precision: Precision) -> Result<Value> {
        let inner = Linear { features: self.intermediate_size, bias: self.bias, axes: [MLP, EMBED] };
        let outer = Linear { features: self.hidden_size, bias: self.bias, axes: [EMBED, MLP] };
        let project = |name| {
            let y = inner.apply(&b.scope(name), x, precision)?;
            named(b, y, &[BATCH, LENGTH, ACTIVATION_MLP])
        };
        let (gate, up) = (project("gate_proj")?, project("up_proj")?);
        let gated = b.multiply(self.activation.apply(&b.scope("act_fn"), gate)?, up)?;
        stream(b, outer.apply(&b.scope("down_proj"), gated, precision)?)
    }
}
