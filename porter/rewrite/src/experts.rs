//! Recognising mixtures of experts.

use porter_ir::{AttributeValue, Builder, DType, Op, OpId, Program, Result, Value, program::OpData};

use crate::{Edit, Patch, Port, Site};

/// The model zoo's composite.
pub(crate) const EXPERTS: &str = "porter.experts";

/// `porter.experts` of the model zoo: `Σ share · down(silu(gate(x)) · up(x))` over the experts that a token takes.
#[derive(Clone)]
pub(crate) struct Experts {
    /// `[batch, tokens, hidden]`, `f32[batch, tokens, chosen]`, `i32` likewise.
    inputs: [Value; 3],
    /// `[experts, inner, hidden]` twice and `[experts, hidden, inner]`.
    weights: [ExpertWeight; 3],
    /// Tokens of all rows.
    pub(crate) tokens: usize,
    /// Experts that a token takes.
    pub(crate) chosen: usize,
    /// Experts of the layer.
    pub(crate) count: usize,
    pub(crate) hidden: usize,
    pub(crate) inner: usize,
    /// The type that weights are multiplied in.
    pub(crate) dtype: DType,
    /// Bits of a number of a weight.
    bits: usize,
}

/// One projection of all experts.
#[derive(Clone, Copy)]
pub(crate) struct ExpertWeight {
    /// `[experts, rows, columns]`, and 8-bit integers where there are scales.
    pub(crate) values: Value,
    /// `f32[experts, rows]`.
    pub(crate) scales: Option<Value>,
}

impl ExpertWeight {
    fn of(program: &Program, weight: Value) -> Self {
        let wide = program.giver(weight).and_then(|data| match (&data.op, &data.operands[..]) {
            (Op::Composite(composite), &[values, scales]) if composite.name == WIDE_WEIGHT => {
                Some(Self { values, scales: Some(scales) })
            }
            _ => None,
        });
        wide.unwrap_or(Self { values: weight, scales: None })
    }

    /// Its counterpart in the new program.
    fn at(self, site: &Site<'_>) -> Result<Self> {
        let scales = self.scales.map(|scales| site.value(scales)).transpose()?;
        Ok(Self { values: site.value(self.values)?, scales })
    }
}

/// The composite that [`wide_weight`] adds.
pub(crate) const WIDE_WEIGHT: &str = "porter.wide_weight";

/// `values · scales` in `dtype`, of 8-bit integers `[experts, rows, columns]` and `f32[experts, rows]`.
pub(crate) fn wide_weight(b: &Builder, values: Value, scales: Value, dtype: DType) -> Result<Value> {
    let wide = b.composite(WIDE_WEIGHT, Vec::new(), &[values, scales], |b, operands| {
        let &[values, scales] = operands else {
            return Err(b.error("experts", operands, "two operands are expected"));
        };
        let scales = b.broadcast_in_dim(scales, b.shape(values), &[0, 1])?;
        let wide = b.multiply(b.convert(values, DType::F32)?, scales)?;
        Ok(vec![b.convert(wide, dtype)?])
    })?;
    wide.first().copied().ok_or_else(|| b.error("experts", &wide, "it has no result"))
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
    pub(crate) gate: ExpertWeight,
    pub(crate) up: ExpertWeight,
    /// `[experts, hidden, inner]`.
    pub(crate) down: ExpertWeight,
}

impl Experts {
    fn of(program: &Program, data: &OpData) -> Option<Self> {
        let Op::Composite(composite) = &data.op else { return None };
        let silu = AttributeValue::String("silu".to_owned());
        let is_silu = composite.attributes.iter().any(|(name, value)| name == "activation" && *value == silu);
        let &[x, shares, chosen, gate, up, down] = &data.operands[..] else { return None };
        let (&[batch, tokens, hidden], &[count, inner, _]) =
            (&program.ty(x).shape[..], &program.ty(gate).shape[..])
        else {
            return None;
        };
        let inputs = [x, shares, chosen];
        let weights = [gate, up, down].map(|weight| ExpertWeight::of(program, weight));
        let chosen = program.ty(chosen).shape.last().copied()?;
        let dtype = program.ty(gate).dtype;
        let bits = program.ty(weights[0].values).dtype.bits();
        let tokens = batch * tokens;
        let found = Self { inputs, weights, tokens, chosen, count, hidden, inner, dtype, bits };
        (composite.name == EXPERTS && is_silu).then_some(found)
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
        elements.saturating_mul(self.bits) / 8
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
        let [x, shares, chosen] = experts.inputs.map(|old| site.value(old));
        let [gate, up, down] = experts.weights.map(|weight| weight.at(site));
        let x = x?;
        let (tokens, shape, dtype) = (experts.tokens, b.shape(x), b.dtype(x));
        let operands = Operands {
            x: b.convert(b.reshape(x, [tokens, experts.hidden])?, experts.dtype)?,
            shares: b.reshape(shares?, [tokens, experts.chosen])?,
            chosen: b.reshape(chosen?, [tokens, experts.chosen])?,
            gate: gate?,
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
