//! Qwen3: "Qwen3 Technical Report" (arXiv:2505.09388); `transformers.Qwen3ForCausalLM`.
//!
//! A Llama that norms each head of queries and keys before rotating it, instead of Qwen2's biases.
//!
//! # Weights
//! Names are Hugging Face's. In GGUF (`general.architecture` = `qwen3`) no rows are permuted.
//!
//! # Traps
//! - `q_norm` and `k_norm` have one weight for all heads, of `head_dim` numbers.
//! - `head_dim` defaults to 128, not to `hidden_size / num_attention_heads`.
//! - Windows are as in Qwen2.

use porter_ir::{Builder, OpError, Value};
use serde_json::{Map, Value as Json};

use crate::{
    blocks::{Activation, mlp::GatedMlp, residual::pre_norm, self_attention::SelfAttention},
    config::{BackboneDefaults, Reader, layer_windows, read_activation, read_backbone, write_windows},
    decoder::{Backbone, Decoder, RopeRows},
    maxtext::Block,
    sequence::Sequence,
};

/// The configuration: `transformers.Qwen3Config`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Qwen3 {
    /// The sizes.
    pub(crate) backbone: Backbone,
    /// Numbers inside the feed-forward layers.
    pub(crate) intermediate_size: usize,
    /// The activation of the feed-forward layers.
    pub(crate) hidden_act: Activation,
    /// Whether the projections of attention have biases.
    pub(crate) attention_bias: bool,
    /// How many tokens a token sees, by layer.
    pub(crate) windows: Vec<Option<usize>>,
}

/// What `Qwen3Config` of transformers 5.23 has where a config says nothing.
const DEFAULTS: BackboneDefaults =
    BackboneDefaults { num_key_value_heads: Some(32), head_dim: Some(128), max_position_embeddings: 32768 };

impl Qwen3 {
    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        let backbone = read_backbone(r, DEFAULTS);
        Self {
            intermediate_size: r.size("intermediate_size"),
            hidden_act: read_activation(r, "silu"),
            attention_bias: r.flag_or("attention_bias", false),
            windows: layer_windows(r, backbone.num_hidden_layers),
            backbone,
        }
    }
}

impl Decoder for Qwen3 {
    const CLASS: &'static str = "Qwen3ForCausalLM";
    const GGUF_ROWS: RopeRows = RopeRows::InOrder;

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn write(&self, config: &mut Map<String, Json>) {
        let keys = [
            ("intermediate_size", self.intermediate_size.into()),
            ("hidden_act", self.hidden_act.name().into()),
            ("attention_bias", self.attention_bias.into()),
        ];
        config.extend(keys.map(|(key, value)| (key.to_owned(), value)));
        write_windows(&self.windows, config);
    }

    fn window(&self) -> Option<usize> {
        self.windows.iter().flatten().copied().min()
    }

    fn maxtext(&self) -> Option<Block> {
        Some(Block {
            name: "qwen3",
            scales_query: false,
            biases: false,
            head_norms: true,
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
            qkv_bias: self.attention_bias,
            output_bias: self.attention_bias,
            qk_norm: Some(c.rms_norm_eps),
            window: self.windows.get(index).copied().flatten(),
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
