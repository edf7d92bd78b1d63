//! Decoder-only language models: what all of them share around their layers.

use porter_ir::{Builder, DType, OpError, Program, TensorType, Value};
use serde_json::{Map, Value as Json};

use crate::{
    Dimensions, Phase, Precision, ProgramError, Taps, Task,
    architecture::Architecture,
    axes::{ACTIVATION_EMBED, ACTIVATION_VOCAB, BATCH, EMBED, LENGTH, VOCAB, named, stream},
    blocks::{cast, embedding::embedding, linear::Linear, norm::rms_norm, rope::Rope},
    config::write_backbone,
    maxtext::Block,
    names::{DECODER, GgufNames, Names, Stored},
    sequence::Sequence,
};

/// What every decoder's configuration has. Fields are named as in `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Backbone {
    /// Token ids are below this.
    pub(crate) vocab_size: usize,
    /// Numbers of the residual stream a token.
    pub(crate) hidden_size: usize,
    /// Layers.
    pub(crate) num_hidden_layers: usize,
    /// Query heads.
    pub(crate) num_attention_heads: usize,
    /// Key-value heads; each serves as many query heads.
    pub(crate) num_key_value_heads: usize,
    /// Numbers a head.
    pub(crate) head_dim: usize,
    /// The epsilon of every RMS norm.
    pub(crate) rms_norm_eps: f64,
    /// Positions that the model was made for.
    pub(crate) max_position_embeddings: usize,
    /// The rotary embedding.
    pub(crate) rope: Rope,
    /// Whether `lm_head` is the embedding table.
    pub(crate) tie_word_embeddings: bool,
}

/// How llama.cpp's converter orders the rows of queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RopeRows {
    /// As Hugging Face: the two rotary halves of a head one after the other.
    InOrder,
    /// Interleaved.
    Permuted,
}

/// A decoder: its sizes and its layer.
pub(crate) trait Decoder: std::fmt::Debug + Send + Sync {
    /// The Hugging Face class.
    const CLASS: &'static str;
    /// How llama.cpp's converter orders the rows of `q_proj` and `k_proj`.
    const GGUF_ROWS: RopeRows;

    /// Parameters that checkpoints store under another name, or in parts.
    const STORED: &'static [Stored] = &[];

    fn backbone(&self) -> &Backbone;
    /// Adds the keys of `config.json` that are not the backbone's: the inverse of the class's `read`.
    fn write(&self, config: &mut Map<String, Json>);
    /// The smallest sliding window of any layer.
    fn window(&self) -> Option<usize> {
        None
    }

    /// `MaxText`'s block that computes the layers, if there is one.
    fn maxtext(&self) -> Option<Block> {
        None
    }

    /// Layer `index` on `x` (`[batch, tokens, hidden_size]`), at the builder's path.
    fn layer(&self, b: &Builder, x: Value, index: usize, sequence: &Sequence) -> Result<Value, OpError>;
}

impl<D: Decoder> Architecture for D {
    fn class(&self) -> &'static str {
        D::CLASS
    }

    fn task(&self) -> Task {
        Task::Generate
    }

    fn dimensions(&self) -> Dimensions {
        let c = self.backbone();
        Dimensions {
            vocab_size: c.vocab_size,
            hidden_size: c.hidden_size,
            layers: c.num_hidden_layers,
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            max_positions: c.max_position_embeddings,
            window: self.window(),
            original_positions: c.rope.original_positions(),
        }
    }

    fn maxtext(&self) -> Option<Block> {
        Decoder::maxtext(self)
    }

    fn config(&self) -> Option<Map<String, Json>> {
        let mut config = write_backbone(self.backbone());
        self.write(&mut config);
        Some(config)
    }

    fn rope(&self) -> Option<&Rope> {
        Some(&self.backbone().rope)
    }

    fn names(&self) -> Names {
        let c = self.backbone();
        let permuted = match D::GGUF_ROWS {
            RopeRows::InOrder => vec![],
            RopeRows::Permuted => vec![
                ("model.layers.{}.self_attn.q_proj", c.num_attention_heads),
                ("model.layers.{}.self_attn.k_proj", c.num_key_value_heads),
            ],
        };
        let mut tolerated = vec![
            ("*rotary_emb.inv_freq", "a buffer, computed from the config"),
            ("rope_freqs.weight", "read with the config"),
        ];
        if c.tie_word_embeddings {
            tolerated.push(("lm_head.weight", "tied to model.embed_tokens.weight by tie_word_embeddings"));
        }
        Names {
            prefix: "model.",
            gguf: GgufNames { modules: DECODER, permuted },
            stored: D::STORED,
            tolerated,
        }
    }

    fn program(&self, phase: &Phase, precision: Precision) -> Result<Program, ProgramError> {
        let b = Builder::new(phase.name());
        let logits = forward(self, &b, phase, precision)?;
        b.result("logits", logits)?;
        Ok(b.finish())
    }
}

/// `LlamaForCausalLM.forward` and its like: embedding, layers, norm, `lm_head`.
fn forward<D: Decoder>(
    decoder: &D,
    b: &Builder,
    phase: &Phase,
    precision: Precision,
) -> Result<Value, OpError> {
    let c = decoder.backbone();
    let model = b.scope("model");
    let ids = b.argument("input_ids", TensorType::new(DType::I32, [phase.batch(), phase.tokens()]))?;
    b.logical_axes(ids, &[BATCH, LENGTH])?;
    let sequence = Sequence::new(&model, c, phase, precision)?;

    let table = model.scope("embed_tokens");
    let mut x = stream(b, embedding(&table, ids, c.vocab_size, c.hidden_size, VOCAB, precision)?)?;
    for i in 0..c.num_hidden_layers {
        tap(b, phase, i, x)?;
        x = decoder.layer(&model.scope("layers").scope(&i.to_string()), x, i, &sequence)?;
    }
    x = rms_norm(&model.scope("norm"), x, c.rms_norm_eps)?;
    tap(b, phase, c.num_hidden_layers, x)?;
    if phase.cache().is_some() {
        // Left padding puts the last token of every row into the last slot.
        x = b.slice_dim(x, 1, phase.tokens() - 1, phase.tokens())?;
        x = named(b, b.reshape(x, [phase.batch(), c.hidden_size])?, &[BATCH, ACTIVATION_EMBED])?;
    }
    let head = if c.tie_word_embeddings { table } else { b.scope("lm_head") };
    let head_weight = Linear { features: c.vocab_size, bias: false, axes: [VOCAB, EMBED] };
    let logits = head_weight.apply_as(&head, x, precision, DType::F32)?;
    match phase.cache() {
        Some(_) => named(b, logits, &[BATCH, ACTIVATION_VOCAB]),
        None => named(b, logits, &[BATCH, LENGTH, ACTIVATION_VOCAB]),
    }
}

/// Makes `x` the result `hidden_states.{index}` where the phase asks for it.
pub(crate) fn tap(b: &Builder, phase: &Phase, index: usize, x: Value) -> Result<(), OpError> {
    match phase {
        Phase::Forward { taps: Taps::HiddenStates, .. } => {
            b.result(&format!("hidden_states.{index}"), stream(b, cast(b, x, DType::F32)?)?)
        }
        _ => Ok(()),
    }
}
