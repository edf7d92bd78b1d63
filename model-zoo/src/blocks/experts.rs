//! Mixtures of experts.

use porter_ir::{AttributeValue, Builder, DType, Direction, DotDimensions, Result, TensorType, Value};

use super::{Activation, cast, dims, linear::Linear, softmax};
use crate::{
    Precision,
    axes::{Axis, BATCH, EMBED, EXPERT, LENGTH, MLP, WHOLE, named, stream},
};

/// A feed-forward layer of several, of which each token takes a few: `Σ share · down(act(gate(x)) · up(x))` over the
/// experts that the router holds most probable ("Outrageously Large Neural Networks", arXiv:1701.06538; "Mixtral of Experts",
/// arXiv:2401.04088; `MixtralSparseMoeBlock` and `Qwen3MoeSparseMoeBlock` of transformers).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Experts {
    pub(crate) hidden_size: usize,
    /// Numbers inside each expert.
    pub(crate) intermediate_size: usize,
    pub(crate) count: usize,
    /// How many of them a token takes.
    pub(crate) chosen: usize,
    /// Whether the probabilities of those are divided by their sum.
    pub(crate) normalised: bool,
    pub(crate) activation: Activation,
}

impl Experts {
    /// Applies the layer to `x` (`[batch, tokens, hidden_size]`) at the builder's path.
    pub(crate) fn apply(&self, b: &Builder, x: Value, precision: Precision) -> Result<Value> {
        let [shares, chosen] = self.route(&b.scope("gate"), x, precision)?;
        let experts = b.scope("experts");
        let weight = |name, rows, columns, axes: [Axis; 3]| {
            let ty = TensorType::new(precision.weights, [self.count, rows, columns]);
            let weight = experts.scope(name).weight("weight", ty)?;
            b.logical_axes(weight, &axes)?;
            Ok(weight)
        };
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let gate = weight("gate_proj", inner, hidden, [EXPERT, MLP, EMBED])?;
        let up = weight("up_proj", inner, hidden, [EXPERT, MLP, EMBED])?;
        let down = weight("down_proj", hidden, inner, [EXPERT, EMBED, MLP])?;
        let activation = AttributeValue::String(self.activation.name().to_owned());
        let operands = [x, shares, chosen, gate, up, down];
        let attributes = vec![("activation".to_owned(), activation)];
        let mixed = experts.composite("porter.experts", attributes, &operands, |b, operands| {
            let &[x, shares, chosen, gate, up, down] = operands else {
                return Err(b.error("experts", operands, "six operands are expected"));
            };
            Ok(vec![self.mix(b, x, [shares, chosen], [gate, up, down])?])
        })?;
        let mixed = mixed.first().copied().ok_or_else(|| b.error("experts", &mixed, "it has no result"))?;
        stream(b, mixed)
    }

    /// The share of each expert that a token takes, `f32[batch, tokens, chosen]`, and which they are, `i32` likewise.
    fn route(&self, b: &Builder, x: Value, precision: Precision) -> Result<[Value; 2]> {
        let router = Linear { features: self.count, bias: false, axes: [WHOLE, EMBED] };
        let of_tokens = |value| named(b, value, &[BATCH, LENGTH, WHOLE]);
        let logits = of_tokens(router.apply_as(b, x, precision, DType::F32)?)?;
        let top = b.top_k(of_tokens(softmax(b, logits)?)?, self.chosen)?;
        let &[shares, chosen] = &top[..] else {
            return Err(b.error("experts", &top, "two results are expected"));
        };
        let (shares, chosen) = (of_tokens(shares)?, of_tokens(chosen)?);
        if !self.normalised {
            return Ok([shares, chosen]);
        }
        let sums = b.reduce_sum_keep(shares, &[2])?;
        Ok([b.divide(shares, b.broadcast_in_dim(sums, b.shape(shares), &[0, 1, 2])?)?, chosen])
    }

    /// Every expert for every token, those that it does not take with a share of zero.
    fn mix(
        &self,
        b: &Builder,
        x: Value,
        [shares, chosen]: [Value; 2],
        [gate, up, down]: [Value; 3],
    ) -> Result<Value> {
        let dtype = b.dtype(x);
        let rows = cast(b, x, b.dtype(gate))?;
        let inner = |weight| b.dot_general(rows, weight, contracting(&[2], &[2]), dtype);
        let (gate, up) = (inner(gate)?, inner(up)?);
        let gated = b.multiply(self.activation.apply(b, gate)?, up)?;
        let shares = cast(b, self.shares_by_expert(b, shares, chosen)?, dtype)?;
        let shared = b.multiply(gated, b.broadcast_in_dim(shares, b.shape(gated), &[0, 1, 2])?)?;
        b.dot_general(cast(b, shared, b.dtype(down))?, down, contracting(&[2, 3], &[0, 2]), dtype)
    }

    /// `f32[batch, tokens, experts]`.
    fn shares_by_expert(&self, b: &Builder, shares: Value, chosen: Value) -> Result<Value> {
        let [batch, tokens, count] = dims(b, chosen)?;
        let all = [batch, tokens, count, self.count];
        let expert = b.iota(TensorType::new(DType::I32, all), 3)?;
        let is_chosen = b.compare(b.broadcast_in_dim(chosen, all, &[0, 1, 2])?, expert, Direction::Eq)?;
        let shares = b.broadcast_in_dim(shares, all, &[0, 1, 2])?;
        b.reduce_sum(b.select(is_chosen, shares, b.full_like(shares, 0.0)?)?, &[2])
    }
}

/// A product over dimensions of both sides.
fn contracting(lhs: &[usize], rhs: &[usize]) -> DotDimensions {
    DotDimensions { lhs_contracting: lhs.to_vec(), rhs_contracting: rhs.to_vec(), ..DotDimensions::default() }
}
