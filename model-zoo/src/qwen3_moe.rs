//! Qwen3 with experts: "Qwen3 Technical Report" (arXiv:2505.09388); `transformers.Qwen3MoeForCausalLM`.
//!
//! A Qwen3 whose feed-forward layers are mixtures of experts.
//!
//! # Weights
//! Names are Hugging Face's. Checkpoints have a matrix an expert and projection, programs one stack of them.
//!
//! # Traps
//! - Published configs say `num_experts`; transformers 5 writes `num_local_experts`.
//! - `norm_topk_prob` defaults to false, and published models have it true.
//! - `intermediate_size` belongs to layers without experts, of which none are supported.

use porter_ir::{Builder, OpError, Value};
use serde_json::{Map, Value as Json, json};

use crate::{
    blocks::{Activation, experts::Experts, residual::pre_norm, self_attention::SelfAttention},
    config::{
        BackboneDefaults, Reader, layer_windows, read_activation, read_backbone, read_experts, write_windows,
    },
    decoder::{Backbone, Decoder, RopeRows},
    names::Stored,
    sequence::Sequence,
};

/// The configuration: `transformers.Qwen3MoeConfig`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Qwen3Moe {
    /// The sizes.
    pub(crate) backbone: Backbone,
    /// Numbers inside each expert.
    pub(crate) moe_intermediate_size: usize,
    /// Experts of a layer.
    pub(crate) num_experts: usize,
    /// Experts that a token takes.
    pub(crate) num_experts_per_tok: usize,
    /// Whether their shares sum to one.
    pub(crate) norm_topk_prob: bool,
    /// The activation of the feed-forward layers.
    pub(crate) hidden_act: Activation,
    /// Whether the projections of attention have biases.
    pub(crate) attention_bias: bool,
    /// How many tokens a token sees, by layer.
    pub(crate) windows: Vec<Option<usize>>,
}

/// What `Qwen3MoeConfig` of transformers 5.23 has where a config says nothing.
const DEFAULTS: BackboneDefaults =
    BackboneDefaults { num_key_value_heads: Some(4), head_dim: None, max_position_embeddings: 32768 };

impl Qwen3Moe {
    pub(crate) fn read(r: &mut Reader<'_>) -> Self {
        let backbone = read_backbone(r, DEFAULTS);
        r.fixed("decoder_sparse_step", &json!(1));
        r.fixed("mlp_only_layers", &json!([]));
        // Of layers without experts, and of the loss.
        r.inert(&["intermediate_size", "router_aux_loss_coef", "output_router_logits"]);
        let keys = ["num_experts", "num_local_experts"];
        let [num_experts, num_experts_per_tok] = read_experts(r, &keys, backbone.num_hidden_layers, [128, 8]);
        Self {
            moe_intermediate_size: r.size_or("moe_intermediate_size", 768),
            num_experts,
            num_experts_per_tok,
            norm_topk_prob: r.flag_or("norm_topk_prob", false),
            hidden_act: read_activation(r, "silu"),
            attention_bias: r.flag_or("attention_bias", false),
            windows: layer_windows(r, backbone.num_hidden_layers),
            backbone,
        }
    }
}

impl Decoder for Qwen3Moe {
    const CLASS: &'static str = "Qwen3MoeForCausalLM";
    const GGUF_ROWS: RopeRows = RopeRows::InOrder;
    const STORED: &'static [Stored] = &[
        ("mlp.experts.gate_proj.weight", "mlp.experts.{}.gate_proj.weight"),
        ("mlp.experts.up_proj.weight", "mlp.experts.{}.up_proj.weight"),
        ("mlp.experts.down_proj.weight", "mlp.experts.{}.down_proj.weight"),
    ];

    fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    fn write(&self, config: &mut Map<String, Json>) {
        let keys = [
            ("moe_intermediate_size", self.moe_intermediate_size.into()),
            ("num_experts", self.num_experts.into()),
            ("num_experts_per_tok", self.num_experts_per_tok.into()),
            ("norm_topk_prob", self.norm_topk_prob.into()),
            ("hidden_act", self.hidden_act.name().into()),
            ("attention_bias", self.attention_bias.into()),
        ];
        config.extend(keys.map(|(key, value)| (key.to_owned(), value)));
        write_windows(&self.windows, config);
    }

    fn window(&self) -> Option<usize> {
        self.windows.iter().flatten().copied().min()
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
        let experts = Experts {
            hidden_size: c.hidden_size,
            intermediate_size: self.moe_intermediate_size,
            count: self.num_experts,
            chosen: self.num_experts_per_tok,
            normalised: self.norm_topk_prob,
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
