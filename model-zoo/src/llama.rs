//! Llama: "Open and Efficient Foundation Language Models" (arXiv:2302.13971) to Llama 3
//! (arXiv:2407.21783); `transformers.LlamaForCausalLM`. SmolLM2 and many others are Llamas too.
//!
//! # Weights
//! Names are Hugging Face's. In GGUF (`general.architecture` = `llama`) the rows of `attn_q` and
//! `attn_k` are permuted, and Llama 3's frequency bands lie in the tensor `rope_freqs.weight`.
//!
//! # Traps
//! - `head_dim` need not be `hidden_size / num_attention_heads`.
//! - `attention_bias` gives all four projections a bias, `o_proj` too.

use porter_ir::{Builder, OpError, Value};
use serde_json::{Map, Value as Json};

use crate::{
    blocks::{Activation, mlp::GatedMlp, residual::pre_norm, self_attention::SelfAttention},
    config::{BackboneDefaults, Reader, read_activation, read_backbone},
    decoder::{Backbone, Decoder, RopeRows},
    maxtext::Block,
    sequence::Sequence,
};

/// The configuration: `transformers.LlamaConfig`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Llama {
    /// The sizes.
    pub(crate) backbone: Backbone,
    /// Numbers inside the feed-forward layers.
    pub(crate) intermediate_size: usize,
    /// The activation of the feed-forward layers.
    pub(crate) hidden_act: Activation,
    /// Whether the projections of attention have biases.
    pub(crate) attention_bias: bool,
    /// Whether the feed-forward layers have biases.
    pub(crate) mlp_bias: bool,
}

/// What `LlamaConfig` of transformers 5.23 has where a config says nothing.
const DEFAULTS: BackboneDefaults =
    BackboneDefaults { num_key_value_heads: None, head_dim: None, max_position_embeddings: 2048 };

impl Llama {
    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            backbone: read_backbone(r, DEFAULTS),
            intermediate_size: r.size("intermediate_size"),
            hidden_act: read_activation(r, "silu"),
            attention_bias: r.flag_or("attention_bias", false),
            mlp_bias: r.flag_or("mlp_bias", false),
        }
    }
}

impl Decoder for Llama {
    const CLASS: &'static str = "LlamaForCausalLM";
    const GGUF_ROWS: RopeRows = RopeRows::Permuted;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn maxtext(&self) -> Option<Block> {
        Some(Block {
            name: "llama2",
            scales_query: true,
            biases: false,
            head_norms: false,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            backbone: self.backbone.clone(),
        })
    }

    fn write(&self, config: &mut Map<String, Json>) {
        let keys = [
            ("intermediate_size", self.intermediate_size.into()),
            ("hidden_act", self.hidden_act.name().into()),
            ("attention_bias", self.attention_bias.into()),
            ("mlp_bias", self.mlp_bias.into()),
        ];
        config.extend(keys.map(|(key, value)| (key.to_owned(), value)));
    }

    fn layer(&self, b: &Builder, x: Value, index: usize, sequence: &Sequence) -> Result<Value, OpError> {
        let c = &self.backbone;
        let attention = SelfAttention {
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            qkv_bias: self.attention_bias,
            output_bias: self.attention_bias,
            qk_norm: None,
            window: None,
        };
        let mlp = GatedMlp {
            hidden_size: c.hidden_size,
            intermediate_size: self.intermediate_size,
            activation: self.hidden_act,
            bias: self.mlp_bias,
        };
        let x = pre_norm(b, "input_layernorm", c.rms_norm_eps, x, |x| {
            attention.apply(&b.scope("self_attn"), x, index, sequence)
        })?;
        pre_norm(b, "post_attention_layernorm", c.rms_norm_eps, x, |x| {
            mlp.apply(&b.scope("mlp"), x, sequence.precision)
        })
    }
}
