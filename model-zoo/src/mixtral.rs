//! Mixtral: "Mixtral of Experts" (arXiv:2401.04088); `transformers.MixtralForCausalLM`.
//!
//! A Mistral whose feed-forward layers are mixtures of experts.
//!
//! # Weights
//! Programs name parameters as Qwen3's experts do; checkpoints have `block_sparse_moe` with `w1` (gate), `w3` (up) and `w2`
//! (down), a matrix an expert and projection.
//!
//! # Traps
//! - The two greatest probabilities are divided by their sum, always.
//! - `sliding_window` is null in published models, and absence means null, not 4096 as for Mistral.

use porter_ir::{Builder, OpError, Value};
use serde_json::{Map, Value as Json};

use crate::{
    blocks::{Activation, experts::Experts, residual::pre_norm, self_attention::SelfAttention},
    config::{BackboneDefaults, Reader, read_activation, read_backbone, read_experts},
    decoder::{Backbone, Decoder, RopeRows},
    names::Stored,
    sequence::Sequence,
};

/// The configuration: `transformers.MixtralConfig`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mixtral {
    /// The sizes.
    pub(crate) backbone: Backbone,
    /// Numbers inside each expert.
    pub(crate) intermediate_size: usize,
    /// Experts of a layer.
    pub(crate) num_local_experts: usize,
    /// Experts that a token takes.
    pub(crate) num_experts_per_tok: usize,
    /// The activation of the feed-forward layers.
    pub(crate) hidden_act: Activation,
    /// How many tokens a token sees.
    pub(crate) sliding_window: Option<usize>,
}

/// What `MixtralConfig` of transformers 5.23 has where a config says nothing.
const DEFAULTS: BackboneDefaults =
    BackboneDefaults { num_key_value_heads: Some(8), head_dim: None, max_position_embeddings: 4096 * 32 };

impl Mixtral {
    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        // Of the loss, and of training.
        r.inert(&["router_aux_loss_coef", "output_router_logits", "router_jitter_noise"]);
        let backbone = read_backbone(r, DEFAULTS);
        let layers = backbone.num_hidden_layers;
        let [num_local_experts, num_experts_per_tok] =
            read_experts(r, &["num_local_experts"], layers, [8, 2]);
        Self {
            intermediate_size: r.size("intermediate_size"),
            num_local_experts,
            num_experts_per_tok,
            hidden_act: read_activation(r, "silu"),
            sliding_window: r.nullable_count("sliding_window", None),
            backbone,
        }
    }
}

impl Decoder for Mixtral {
    const CLASS: &'static str = "MixtralForCausalLM";
    const GGUF_ROWS: RopeRows = RopeRows::Permuted;
    const STORED: &'static [Stored] = &[
        ("mlp.gate.weight", "block_sparse_moe.gate.weight"),
        ("mlp.experts.gate_proj.weight", "block_sparse_moe.experts.{}.w1.weight"),
        ("mlp.experts.up_proj.weight", "block_sparse_moe.experts.{}.w3.weight"),
        ("mlp.experts.down_proj.weight", "block_sparse_moe.experts.{}.w2.weight"),
    ];

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn write(&self, config: &mut Map<String, Json>) {
        let keys = [
            ("intermediate_size", self.intermediate_size.into()),
            ("num_local_experts", self.num_local_experts.into()),
            ("num_experts_per_tok", self.num_experts_per_tok.into()),
            ("hidden_act", self.hidden_act.name().into()),
            ("sliding_window", self.sliding_window.into()),
        ];
        config.extend(keys.map(|(key, value)| (key.to_owned(), value)));
    }

    fn window(&self) -> Option<usize> {
        self.sliding_window
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
        let experts = Experts {
            hidden_size: c.hidden_size,
            intermediate_size: self.intermediate_size,
            count: self.num_local_experts,
            chosen: self.num_experts_per_tok,
            normalised: true,
            activation: self.hidden_act,
        };
        let x = pre_norm(b, "input_layernorm", c.rms_norm_eps, x, |x| {
            attention.apply(&b.scope("self_attn"), x, index, sequence)
        })?;
        pre_norm(b, "post_attention_layernorm", c.rms_norm_eps, x, |x| {
            experts.apply(&b.scope("mlp"), x, sequence.precision)
        })
    }
}
