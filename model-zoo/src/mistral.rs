//! Mistral: "Mistral 7B" (arXiv:2310.06825); `transformers.MistralForCausalLM`.
//!
//! A Llama whose layers all see a sliding window, without biases.
//!
//! # Weights
//! Names are Hugging Face's. llama.cpp writes Mistrals as `llama` and forgets the window, so GGUF
//! files of it are read as Llamas.
//!
//! # Traps
//! - `sliding_window: null` (version 0.2 on) means no window; an absent key means 4096.
//! - A token sees `sliding_window` tokens, itself among them.

use porter_ir::{Builder, OpError, Value};
use serde_json::{Map, Value as Json};

use crate::{
    blocks::{Activation, mlp::GatedMlp, residual::pre_norm, self_attention::SelfAttention},
    config::{BackboneDefaults, Reader, read_activation, read_backbone},
    decoder::{Backbone, Decoder, RopeRows},
    maxtext::Block,
    sequence::Sequence,
};

/// The configuration: `transformers.MistralConfig`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mistral {
    /// The sizes.
    pub(crate) backbone: Backbone,
    /// Numbers inside the feed-forward layers.
    pub(crate) intermediate_size: usize,
    /// The activation of the feed-forward layers.
    pub(crate) hidden_act: Activation,
    /// How many tokens a token sees.
    pub(crate) sliding_window: Option<usize>,
}

/// What `MistralConfig` of transformers 5.23 has where a config says nothing.
const DEFAULTS: BackboneDefaults =
    BackboneDefaults { num_key_value_heads: Some(8), head_dim: None, max_position_embeddings: 4096 * 32 };

impl Mistral {
    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            backbone: read_backbone(r, DEFAULTS),
            intermediate_size: r.size("intermediate_size"),
            hidden_act: read_activation(r, "silu"),
            sliding_window: r.nullable_count("sliding_window", Some(4096)),
        }
    }
}

impl Decoder for Mistral {
    const CLASS: &'static str = "MistralForCausalLM";
    const GGUF_ROWS: RopeRows = RopeRows::Permuted;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn write(&self, config: &mut Map<String, Json>) {
        let keys = [
            ("intermediate_size", self.intermediate_size.into()),
            ("hidden_act", self.hidden_act.name().into()),
            ("sliding_window", self.sliding_window.into()),
        ];
        config.extend(keys.map(|(key, value)| (key.to_owned(), value)));
    }

    fn window(&self) -> Option<usize> {
        self.sliding_window
    }

    fn maxtext(&self) -> Option<Block> {
        Some(Block {
            name: "mistral",
            scales_query: true,
            biases: false,
            head_norms: false,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            backbone: self.backbone.clone(),
        })
    }

    fn layer(&self, b: &Builder, x: Value, index: usize, sequence: &Sequence) -> Result<Value, OpError> {
        let c = &self.backbone;
        let attention = SelfAttention {
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            qkv_bias: false,
            output_bias: false,
            qk_norm: None,
            window: self.sliding_window,
        };
        let mlp = GatedMlp {
            hidden_size: c.hidden_size,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            bias: false,
        };
        let x = pre_norm(b, "input_layernorm", c.rms_norm_eps, x, |x| {
            attention.apply(&b.scope("self_attn"), x, index, sequence)
        })?;
        pre_norm(b, "post_attention_layernorm", c.rms_norm_eps, x, |x| {
            mlp.apply(&b.scope("mlp"), x, sequence.precision)
        })
    }
}
