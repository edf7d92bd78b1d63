//! Recognising mixtures of experts.

use porter_ir::{AttributeValue, Builder, DType, Op, OpId, Program, Result, Value, program::OpData};

use crate::{Edit, Patch, Port};

/// `porter.experts` of the model zoo: `Σ share · down(silu(gate(x)) · up(x))` over the experts that a token takes.
#[derive(Clone)]
pub(crate) struct Experts {
    /// `[batch, tokens, hidden]`, `f32[batch, tokens, chosen]`, `i32` likewise, `[experts, inner, hidden]` twice and
    /// `[experts, hidden, inner]`.
    operands: [Value; 6],
    /// Tokens of all rows.
    pub(crate) tokens: usize,
    /// Experts that a token takes.
    pub(crate) chosen: usize,
    /// Experts of the layer.
    pub(crate) count: usize,
    pub(crate) hidden: usize,
    pub(crate) inner: usize,
    /// The type of weights.
    dtype: DType,
}

/// The operands of [`Experts`] in a new program, tokens in one dimension.
#[derive(Clone, Copy)]
pub(crate) struct Operands {
    /// `[tokens, hidden]`.
    pub(crate) x: Value,
    /// `f32[tokens, chosen]`.
    pub(crate) shares: Value,
    /// `i32[tokens, chosen]`.
    pub(crate) chosen: Value,
    /// `[experts, inner, hidden]`.
    pub(crate) gate: Value,
    pub(crate) up: Value,
    /// `[experts, hidden, inner]`.
    pub(crate) down: Value,
}

impl Experts {
    fn of(program: &Program, data: &OpData) -> Option<Self> {
        let Op::Composite(composite) = &data.op else { return None };
        let silu = AttributeValue::String("silu".to_owned());
        let is_silu = composite.attributes.iter().any(|(name, value)| name == "activation" && *value == silu);
        let operands: [Value; 6] = data.operands[..].try_into().ok()?;
        let [x, _, chosen, gate, ..] = operands;
        let (&[batch, tokens, hidden], &[count, inner, _]) =
            (&program.ty(x).shape[..], &program.ty(gate).shape[..])
        else {
            return None;
        };
        let chosen = program.ty(chosen).shape.last().copied()?;
        let dtype = program.ty(gate).dtype;
        let found = Self { operands, tokens: batch * tokens, chosen, count, hidden, inner, dtype };
        (composite.name == "porter.experts" && is_silu).then_some(found)
    }

    /// Pairs of a token and an expert that it takes.
    pub(crate) fn pairs(&self) -> usize {
        self.tokens * self.chosen
    }

    /// Whether pairs are at most that share of a layer's experts.
    pub(crate) fn are_few(&self, most_pairs: f64) -> bool {
        self.pairs() as f64 <= most_pairs * self.count as f64
    }

    /// Bytes of one projection of the experts of all pairs.
    pub(crate) fn gathered_bytes(&self) -> usize {
        let elements = self.pairs().saturating_mul(self.inner).saturating_mul(self.hidden);
        elements.saturating_mul(self.dtype.bits()) / 8
    }
}

/// A patch of every mixture of experts that `fits`, in programs on one device, by what `emit` makes of it: the result of
/// each token, `[tokens, hidden]`.
pub(crate) fn propose(
    port: &Port,
    mut patch: Patch,
    fits: impl Fn(&Experts) -> bool,
    emit: fn(&Builder, &Experts, Operands) -> Result<Value>,
) -> Patch {
    for (edits, program) in patch.edits.iter_mut().zip(&port.programs) {
        if program.devices() > 1 {
            continue;
        }
        let found = program.ops().filter_map(|(id, data)| Some((id, Experts::of(program, data)?)));
        edits.extend(
            found.filter(|(_, experts)| fits(experts)).map(|(id, found)| edit(program, id, found, emit)),
        );
    }
    patch
}

fn edit(
    program: &Program,
    op: OpId,
    experts: Experts,
    emit: fn(&Builder, &Experts, Operands) -> Result<Value>,
) -> Edit {
    Edit::one(program, op, move |site| {
        let b = &site.b;
        let [x, shares, chosen, gate, up, down] = experts.operands.map(|old| site.value(old));
        let (x, gate) = (x?, gate?);
        let (tokens, shape, dtype) = (experts.tokens, b.shape(x), b.dtype(x));
        let operands = Operands {
            x: b.convert(b.reshape(x, [tokens, experts.hidden])?, b.dtype(gate))?,
            shares: b.reshape(shares?, [tokens, experts.chosen])?,
            chosen: b.reshape(chosen?, [tokens, experts.chosen])?,
            gate,
            up: up?,
            down: down?,
        };
        let y = emit(b, &experts, operands)?;
        Ok(vec![b.convert(b.reshape(y, shape)?, dtype)?])
    })
}

/// `silu(gate) · up`, of f32.
pub(crate) fn gated(b: &Builder, gate: Value, up: Value) -> Result<Value> {
    b.multiply(b.multiply(gate, b.logistic(gate)?)?, up)
}
