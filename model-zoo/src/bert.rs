//! BERT: "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding"
//! (arXiv:1810.04805); `transformers.BertModel`, `BertForMaskedLM`, `BertForSequenceClassification`.
//! Most sentence-embedding models (all-MiniLM-L6-v2) are BERTs too.
//!
//! # Results
//! - `BertModel`: `last_hidden_state`, `pooler_output`, and `sentence_embedding`, which is the mean
//!   over the attention mask scaled to length 1, as sentence-transformers does by default
//! - `BertForMaskedLM`: `logits` (`[batch, tokens, vocab]`)
//! - `BertForSequenceClassification`: `logits` (`[batch, labels]`)
//!
//! # Weights
//! Names are those of the class. Checkpoints add or lack the prefix `bert.`; those converted from
//! TensorFlow call the norms' parameters `gamma` and `beta`.
//!
//! # Traps
//! - Norms come after the residual sums, and their epsilon is 1e-12.
//! - GELU is the exact one, with the error function.
//! - `cls.predictions.decoder` is the embedding table, and its bias is `cls.predictions.bias`.
//! - `position_ids` is a buffer that old checkpoints carry.

use porter_ir::{Builder, DType, Direction, OpError, Program, TensorType, Value};
use serde_json::json;

use crate::{
    Dimensions, Phase, Precision, ProgramError, Task,
    architecture::Architecture,
    axes::{
        ACTIVATION_EMBED, ACTIVATION_MLP, ACTIVATION_VOCAB, Axis, BATCH, EMBED, HEADS, LENGTH, MLP, VOCAB,
        WHOLE, heads, named, stream,
    },
    blocks::{
        Activation, cast,
        embedding::embedding,
        encoder_attention::encoder_attention,
        linear::{Linear, add_bias},
        norm::layer_norm,
        pooling::mean_normalized,
    },
    config::{Reader, read_activation, read_depth},
    decoder::tap,
    names::{GgufNames, Names},
};

/// The configuration: `transformers.BertConfig`. Fields are named as in `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bert {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: Activation,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    head: Head,
}

/// What follows the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// `BertModel`.
    Model,
    /// `BertForMaskedLM`.
    MaskedLm { tie_word_embeddings: bool },
    /// `BertForSequenceClassification`.
    Classifier { num_labels: usize },
}

impl Bert {
    pub(crate) fn read_model(r: &mut Reader<'_>) -> Self {
        // Said of a decoder that this class does not have.
        r.inert(&["tie_word_embeddings", "id2label", "label2id"]);
        Self::read(r, Head::Model)
    }

    pub(crate) fn read_masked_lm(r: &mut Reader<'_>) -> Self {
        r.inert(&["id2label", "label2id"]);
        let tie_word_embeddings = r.flag_or("tie_word_embeddings", true);
        Self::read(r, Head::MaskedLm { tie_word_embeddings })
    }

    pub(crate) fn read_classifier(r: &mut Reader<'_>) -> Self {
        r.inert(&["tie_word_embeddings", "label2id"]);
        let labels = r.optional_entries("id2label");
        let num_labels = r.size_or("num_labels", labels.unwrap_or(2));
        Self::read(r, Head::Classifier { num_labels })
    }

    /// Defaults are those of `BertConfig` of transformers 5.23.
    fn read(r: &mut Reader<'_>, head: Head) -> Self {
        r.fixed("position_embedding_type", &json!("absolute"));
        r.fixed("is_decoder", &json!(false));
        r.fixed("add_cross_attention", &json!(false));
        r.fixed("pruned_heads", &json!({}));
        let (hidden_size, heads) = (r.size("hidden_size"), r.size("num_attention_heads"));
        if !hidden_size.is_multiple_of(heads) {
            r.unsupported(
                "num_attention_heads",
                heads,
                format!("hidden_size {hidden_size} is no multiple of it"),
            );
        }
        Self {
            vocab_size: r.count("vocab_size"),
            hidden_size,
            num_hidden_layers: read_depth(r),
            num_attention_heads: heads,
            intermediate_size: r.size("intermediate_size"),
            hidden_act: read_activation(r, "gelu"),
            max_position_embeddings: r.count_or("max_position_embeddings", 512),
            type_vocab_size: r.size_or("type_vocab_size", 2),
            layer_norm_eps: r.number_or("layer_norm_eps", 1e-12),
            head,
        }
    }

    /// `BertModel.forward`.
    fn encode(&self, b: &Builder, inputs: &Inputs, phase: &Phase, p: Precision) -> Result<Value, OpError> {
        let mut x = self.embeddings(&b.scope("embeddings"), inputs, p)?;
        tap(b, phase, 0, x)?;
        for i in 0..self.num_hidden_layers {
            x = self.layer(&b.scope("encoder.layer").scope(&i.to_string()), x, inputs.mask, p)?;
            tap(b, phase, i + 1, x)?;
        }
        Ok(x)
    }

    /// `BertEmbeddings`: words, token types and positions, normed.
    fn embeddings(&self, b: &Builder, inputs: &Inputs, p: Precision) -> Result<Value, OpError> {
        let table = |name, ids, rows, axis| {
            stream(b, embedding(&b.scope(name), ids, rows, self.hidden_size, axis, p)?)
        };
        let words = table("word_embeddings", inputs.ids, self.vocab_size, VOCAB)?;
        let types = table("token_type_embeddings", inputs.types, self.type_vocab_size, WHOLE)?;
        let positions = b.iota(b.ty(inputs.ids), 1)?;
        let positions = table("position_embeddings", positions, self.max_position_embeddings, WHOLE)?;
        let sum = b.add(b.add(words, types)?, positions)?;
        layer_norm(&b.scope("LayerNorm"), sum, self.layer_norm_eps)
    }

    /// `BertLayer`.
    fn layer(&self, b: &Builder, x: Value, mask: Value, p: Precision) -> Result<Value, OpError> {
        let attention = b.scope("attention");
        let mixed = encoder_attention(&attention.scope("self"), x, self.num_attention_heads, mask, p)?;
        let axis = heads(&HEADS, self.num_attention_heads);
        let x = self.output(&attention.scope("output"), mixed, x, axis, p)?;
        let intermediate = b.scope("intermediate");
        let linear = Linear { features: self.intermediate_size, bias: true, axes: [MLP, EMBED] };
        let inner = linear.apply(&intermediate.scope("dense"), x, p)?;
        let inner = named(&intermediate, inner, &[BATCH, LENGTH, ACTIVATION_MLP])?;
        let inner = self.hidden_act.apply(&intermediate, inner)?;
        self.output(&b.scope("output"), inner, x, MLP, p)
    }

    /// `BertSelfOutput` and `BertOutput`: a projection, the residual, the norm. `axis` is what the features of
    /// `x` are.
    fn output(
        &self,
        b: &Builder,
        x: Value,
        residual: Value,
        axis: Axis,
        p: Precision,
    ) -> Result<Value, OpError> {
        let linear = Linear { features: self.hidden_size, bias: true, axes: [EMBED, axis] };
        let x = stream(b, linear.apply(&b.scope("dense"), x, p)?)?;
        layer_norm(&b.scope("LayerNorm"), b.add(x, residual)?, self.layer_norm_eps)
    }

    /// `BertPooler`: the first token.
    fn pool(&self, b: &Builder, x: Value, phase: &Phase, p: Precision) -> Result<Value, OpError> {
        let first = b.reshape(b.slice_dim(x, 1, 0, 1)?, [phase.batch(), self.hidden_size])?;
        let linear = Linear { features: self.hidden_size, bias: true, axes: [WHOLE, EMBED] };
        let dense = linear.apply(&b.scope("dense"), first, p)?;
        Activation::Tanh.apply(b, dense)
    }

    /// `BertOnlyMLMHead`. `embeddings` is the path of the embedding table that the decoder is tied to.
    fn predict(&self, b: &Builder, x: Value, tied: Option<Builder>, p: Precision) -> Result<Value, OpError> {
        let transform = b.scope("transform");
        let linear = Linear { features: self.hidden_size, bias: true, axes: [WHOLE, EMBED] };
        let x = stream(&transform, linear.apply(&transform.scope("dense"), x, p)?)?;
        let x = self.hidden_act.apply(&transform, x)?;
        let x = layer_norm(&transform.scope("LayerNorm"), x, self.layer_norm_eps)?;
        let decoder = Linear { features: self.vocab_size, bias: tied.is_none(), axes: [VOCAB, EMBED] };
        let logits = match tied {
            Some(table) => add_bias(b, decoder.apply_as(&table, x, p, DType::F32)?, &VOCAB)?,
            None => decoder.apply_as(&b.scope("decoder"), x, p, DType::F32)?,
        };
        named(b, logits, &[BATCH, LENGTH, ACTIVATION_VOCAB])
    }

    /// The forward pass of the class, its results included.
    fn forward(&self, b: &Builder, phase: &Phase, p: Precision) -> Result<(), OpError> {
        let inputs = Inputs::new(b, phase)?;
        let f32 = |b: &Builder, name, x, axes: &[Axis]| {
            let x = cast(b, x, DType::F32)?;
            b.logical_axes(x, axes)?;
            b.result(name, x)
        };
        let row = [BATCH, ACTIVATION_EMBED];
        let bert = b.scope("bert");
        match self.head {
            Head::Model => {
                let x = self.encode(b, &inputs, phase, p)?;
                f32(b, "last_hidden_state", x, &[BATCH, LENGTH, ACTIVATION_EMBED])?;
                f32(b, "pooler_output", self.pool(&b.scope("pooler"), x, phase, p)?, &row)?;
                f32(b, "sentence_embedding", mean_normalized(b, x, inputs.attention_mask)?, &row)
            }
            Head::MaskedLm { tie_word_embeddings } => {
                let x = self.encode(&bert, &inputs, phase, p)?;
                let tied = tie_word_embeddings.then(|| bert.scope("embeddings.word_embeddings"));
                b.result("logits", self.predict(&b.scope("cls.predictions"), x, tied, p)?)
            }
            Head::Classifier { num_labels } => {
                let x = self.encode(&bert, &inputs, phase, p)?;
                let pooled = self.pool(&bert.scope("pooler"), x, phase, p)?;
                let classifier = Linear { features: num_labels, bias: true, axes: [WHOLE, EMBED] };
                let logits = classifier.apply_as(&b.scope("classifier"), pooled, p, DType::F32)?;
                f32(b, "logits", logits, &[BATCH, WHOLE])
            }
        }
    }
}

/// The arguments, `i32[batch, tokens]`, and what follows from them.
struct Inputs {
    ids: Value,
    types: Value,
    attention_mask: Value,
    /// Which tokens each token sees: `bool[batch, tokens, tokens]`.
    mask: Value,
}

impl Inputs {
    fn new(b: &Builder, phase: &Phase) -> Result<Self, OpError> {
        let ty = TensorType::new(DType::I32, [phase.batch(), phase.tokens()]);
        let argument = |name| named(b, b.argument(name, ty.clone())?, &[BATCH, LENGTH]);
        let (ids, attention_mask) = (argument("input_ids")?, argument("attention_mask")?);
        let types = argument("token_type_ids")?;
        let seen = b.compare(attention_mask, b.full_like(attention_mask, 0.0)?, Direction::Ne)?;
        let mask = b.broadcast_in_dim(seen, [phase.batch(), phase.tokens(), phase.tokens()], &[0, 2])?;
        Ok(Self { ids, types, attention_mask, mask })
    }
}

impl Architecture for Bert {
    fn class(&self) -> &'static str {
        match self.head {
            Head::Model => "BertModel",
            Head::MaskedLm { .. } => "BertForMaskedLM",
            Head::Classifier { .. } => "BertForSequenceClassification",
        }
    }

    fn task(&self) -> Task {
        Task::Encode
    }

    fn dimensions(&self) -> Dimensions {
        Dimensions {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            kv_heads: self.num_attention_heads,
            head_dim: self.hidden_size / self.num_attention_heads,
            max_positions: self.max_position_embeddings,
            window: None,
            original_positions: None,
        }
    }

    fn names(&self) -> Names {
        let mut tolerated = vec![("*embeddings.position_ids", "a buffer: 0, 1, 2, ...")];
        match self.head {
            Head::Model => tolerated.push(("cls.*", "the pretraining head, which BertModel lacks")),
            Head::MaskedLm { tie_word_embeddings } => {
                tolerated.push(("bert.pooler.*", "BertForMaskedLM has no pooler"));
                tolerated.push(("cls.seq_relationship.*", "BertForMaskedLM predicts no next sentence"));
                if tie_word_embeddings {
                    tolerated.push(("cls.predictions.decoder.*", "tied to the word embeddings and the bias"));
                }
            }
            Head::Classifier { .. } => {}
        }
        Names { prefix: "bert.", gguf: GgufNames::default(), stored: &[], tolerated }
    }

    fn program(&self, phase: &Phase, precision: Precision) -> Result<Program, ProgramError> {
        let Phase::Forward { tokens, .. } = *phase else {
            return Err(ProgramError::NoPhase { architecture: self.class(), phase: phase.name() });
        };
        if tokens > self.max_position_embeddings {
            return Err(ProgramError::Sizes {
                architecture: self.class(),
                phase: phase.name(),
                problem: format!("it has embeddings for {} positions", self.max_position_embeddings),
            });
        }
        let b = Builder::new(phase.name());
        self.forward(&b, phase, precision)?;
        Ok(b.finish())
    }
}
