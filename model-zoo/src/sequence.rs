//! The tokens that one run of a decoder reads: their positions, what they see, and the KV cache.

use std::{cell::RefCell, collections::BTreeMap};

use porter_ir::{Builder, DType, Direction, OpError, TensorType, Value};

use crate::{
    Phase, Precision,
    axes::{
        ACTIVATION_KV_LENGTH, BATCH, CACHE_BATCH, CACHE_HEAD_DIM, CACHE_HEADS, CACHE_SEQUENCE, LENGTH, named,
    },
    blocks::{
        attention::{attention, causal_attention},
        cast,
        rotary::{Angles, angles},
    },
    decoder::Backbone,
};

/// The tokens of one run.
pub(crate) struct Sequence {
    pub(crate) precision: Precision,
    /// The rotary angles of every token.
    pub(crate) angles: Angles,
    phase: Phase,
    /// Left-padding tokens of each row: `i32[batch]`.
    padding: Value,
    /// The slot of each token: `i32[batch, tokens]`.
    slots: Value,
    /// The slot of the first token, an `i32[]`, after what the cache holds.
    offset: Option<Value>,
    /// What tokens see, by sliding window: made once, shared by the layers.
    masks: RefCell<BTreeMap<Option<usize>, Value>>,
    /// Where masks are added.
    builder: Builder,
}

impl Sequence {
    /// Reads the arguments `padding` and, after what a cache holds, `offset`. Angles and masks are added at
    /// the path of `b`.
    pub(crate) fn new(
        b: &Builder,
        config: &Backbone,
        phase: &Phase,
        precision: Precision,
    ) -> Result<Self, OpError> {
        let ty = TensorType::new(DType::I32, [phase.batch(), phase.tokens()]);
        let padding = b.argument("padding", TensorType::new(DType::I32, [phase.batch()]))?;
        b.logical_axes(padding, &[BATCH])?;
        let (slots, offset) = match phase {
            Phase::Extend { .. } | Phase::Decode { .. } => {
                let offset = named(b, b.argument("offset", TensorType::scalar(DType::I32))?, &[])?;
                let first = b.broadcast_in_dim(offset, ty.shape.clone(), &[])?;
                let slots = if phase.tokens() == 1 { first } else { b.add(first, b.iota(ty, 1)?)? };
                (slots, Some(offset))
            }
            Phase::Forward { .. } | Phase::Prefill { .. } => (b.iota(ty, 1)?, None),
        };
        let rotary = b.scope("rotary_emb");
        let positions =
            rotary.subtract(slots, rotary.broadcast_in_dim(padding, rotary.shape(slots), &[0])?)?;
        Ok(Self {
            precision,
            angles: angles(&rotary, &config.rope, positions)?,
            phase: *phase,
            padding,
            slots,
            offset,
            masks: RefCell::default(),
            builder: b.scope("causal_mask"),
        })
    }

    /// Attention of layer `layer` over this run's keys and values, and over those in the cache where
    /// there is one, through a sliding `window` of that many slots.
    ///
    /// `q`: `[batch, tokens, heads, head_dim]`; `k` and `v`: `[batch, tokens, kv_heads, head_dim]`;
    /// the result is `[batch, tokens, heads · head_dim]`.
    pub(crate) fn attend(
        &self,
        b: &Builder,
        layer: usize,
        [q, k, v]: [Value; 3],
        window: Option<usize>,
    ) -> Result<Value, OpError> {
        let (k, v) = (b.transpose(k, &[0, 2, 1, 3])?, b.transpose(v, &[0, 2, 1, 3])?);
        let (k, v) = match self.phase {
            Phase::Forward { .. } => (k, v),
            Phase::Prefill { cache, .. } => {
                self.write(b, &format!("cache.{layer}.key"), k, cache)?;
                self.write(b, &format!("cache.{layer}.value"), v, cache)?;
                (k, v)
            }
            Phase::Extend { cache, .. } | Phase::Decode { cache, .. } => (
                self.write(b, &format!("cache.{layer}.key"), k, cache)?,
                self.write(b, &format!("cache.{layer}.value"), v, cache)?,
            ),
        };
        let mask = self.mask(window)?;
        match self.phase {
            Phase::Extend { .. } | Phase::Decode { .. } => attention(b, q, k, v, mask),
            Phase::Forward { .. } | Phase::Prefill { .. } => causal_attention(b, q, k, v, mask),
        }
    }

    /// The state `name` with `x` (`[batch, kv_heads, tokens, head_dim]`) written at this run's slots.
    fn write(&self, b: &Builder, name: &str, x: Value, slots: usize) -> Result<Value, OpError> {
        let [batch, heads, _, head_dim] = crate::blocks::dims(b, x)?;
        let state = b.state(name, TensorType::new(self.precision.cache, [batch, heads, slots, head_dim]))?;
        let axes = [CACHE_BATCH, CACHE_HEADS, CACHE_SEQUENCE, CACHE_HEAD_DIM];
        b.logical_axes(state, &axes)?;
        let zero = b.full(TensorType::scalar(DType::I32), 0.0)?;
        let starts = [zero, zero, self.offset.unwrap_or(zero), zero];
        let updated = b.dynamic_update_slice(state, cast(b, x, self.precision.cache)?, &starts)?;
        b.update(name, named(b, updated, &axes)?)?;
        // Numbers of 8 bits are stored, not computed with: queries and attention weights keep their type.
        if self.precision.cache.bits() < 16 {
            cast(b, updated, self.precision.activations)
        } else {
            Ok(updated)
        }
    }

    /// Which keys each token sees, `bool[batch, tokens, keys]`: those at or before it, not in the
    /// padding, and less than `window` slots away.
    fn mask(&self, window: Option<usize>) -> Result<Value, OpError> {
        if let Some(&known) = self.masks.borrow().get(&window) {
            return Ok(known);
        }
        let b = &self.builder;
        let keys = match self.phase {
            Phase::Extend { cache, .. } | Phase::Decode { cache, .. } => cache,
            Phase::Forward { tokens, .. } | Phase::Prefill { tokens, .. } => tokens,
        };
        let shape = [self.phase.batch(), self.phase.tokens(), keys];
        let key = b.iota(TensorType::new(DType::I32, shape), 2)?;
        let token = b.broadcast_in_dim(self.slots, shape, &[0, 1])?;
        let padding = b.broadcast_in_dim(self.padding, shape, &[0])?;
        let causal = b.compare(key, token, Direction::Le)?;
        let mut mask = b.and(causal, b.compare(key, padding, Direction::Ge)?)?;
        if let Some(window) = window {
            let first = b.add_scalar(token, 1.0 - window as f64)?;
            mask = b.and(mask, b.compare(key, first, Direction::Ge)?)?;
        }
        self.masks.borrow_mut().insert(window, mask);
        named(b, mask, &[BATCH, LENGTH, ACTIVATION_KV_LENGTH])
    }
}
