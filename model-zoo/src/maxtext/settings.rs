//! The settings that make `MaxText` compute a model, and what it computes otherwise.

use serde_json::{Value, json};

use crate::{
    blocks::{
        Activation,
        rope::{Rope, Scaling},
    },
    decoder::Backbone,
};

/// A decoder block of `MaxText`, configured for one model.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The `decoder_block`.
    pub(crate) name: &'static str,
    /// Whether the query's kernel has the factor `1 / sqrt(head_dim)` of scores in it.
    pub(crate) scales_query: bool,
    /// Whether query, key and value have biases.
    pub(crate) biases: bool,
    /// Whether queries and keys are normalised a head.
    pub(crate) head_norms: bool,
    /// Numbers inside the feed-forward layers.
    pub(crate) intermediate_size: usize,
    /// Their activation.
    pub(crate) activation: Activation,
    /// What lies around the layers.
    pub(crate) backbone: Backbone,
}

impl Block {
    /// True if rotated pairs lie side by side: in `LLaMARotaryEmbedding`, which alone has Llama 3.1's
    /// bands. The other embeddings take the halves of a head, as Hugging Face does, or can.
    pub(crate) fn interleaved(&self) -> bool {
        matches!(self.backbone.rope.scaling, Scaling::Llama3 { .. })
    }
}

/// The settings, by the names of `configs/base.yml`.
pub(super) fn settings(block: &Block, scan_layers: bool) -> Vec<(&'static str, Value)> {
    let c = &block.backbone;
    let mut settings = vec![
        ("base_emb_dim", json!(c.hidden_size)),
        ("base_num_query_heads", json!(c.num_attention_heads)),
        ("base_num_kv_heads", json!(c.num_key_value_heads)),
        ("base_num_decoder_layers", json!(c.num_hidden_layers)),
        ("base_mlp_dim", json!(block.intermediate_size)),
        ("head_dim", json!(c.head_dim)),
        ("mlp_activations", json!([activation(block.activation).unwrap_or("silu"), "linear"])),
        ("vocab_size", json!(c.vocab_size)),
        ("enable_dropout", json!(false)),
        ("logits_via_embedding", json!(c.tie_word_embeddings)),
        ("normalize_embedding_logits", json!(false)),
        ("normalization_layer_epsilon", json!(c.rms_norm_eps)),
        ("use_qk_norm", json!(block.head_norms)),
        ("attention_bias", json!(block.biases)),
        ("decoder_block", json!(block.name)),
        ("scan_layers", json!(scan_layers)),
        ("rope_max_timescale", whole(c.rope.theta)),
    ];
    settings.extend(rope(&c.rope.scaling, c.max_position_embeddings));
    settings
}

/// The settings of the rotary embedding.
fn rope(scaling: &Scaling, max_positions: usize) -> Vec<(&'static str, Value)> {
    match scaling {
        Scaling::Linear { factor } => {
            vec![("rope_type", json!("default")), ("rope_linear_scaling_factor", json!(factor))]
        }
        Scaling::Llama3 { .. } => vec![("rope_type", json!("llama3.1")), ("rope_use_scale", json!(true))],
        Scaling::Yarn {
            factor, original_max_position_embeddings, beta_fast, beta_slow, truncate, ..
        } => vec![
            ("rope_type", json!("yarn")),
            ("rope_interleave", json!(false)),
            ("rope_factor", whole(*factor)),
            ("beta_fast", whole(*beta_fast)),
            ("beta_slow", whole(*beta_slow)),
            ("rope_truncate", json!(truncate)),
            ("rope_attention_scaling", json!(true)),
            ("original_max_position_embeddings", json!(original_max_position_embeddings)),
            ("max_position_embeddings", json!(max_positions)),
        ],
        Scaling::Default | Scaling::Dynamic { .. } | Scaling::LongRope { .. } => {
            vec![("rope_type", json!("default"))]
        }
    }
}

/// What the model computes and the block does not, a line each.
pub(super) fn differences(block: &Block, window: Option<usize>) -> Vec<String> {
    let mut differences = Vec::new();
    if activation(block.activation).is_none() {
        let name = block.activation;
        differences.push(format!("MaxText has no activation {name:?}; silu stands in the settings"));
    }
    if let Some(window) = window {
        let name = block.name;
        differences.push(format!(
            "tokens of the model see {window} tokens; in MaxText's block {name} they see all, which is the \
             same up to {window} tokens"
        ));
    }
    if block.backbone.rope.theta.fract() != 0.0 {
        let theta = block.backbone.rope.theta;
        differences.push(format!("rope_theta is {theta}; MaxText takes whole numbers"));
    }
    differences.extend(rope_difference(&block.backbone.rope));
    differences
}

fn rope_difference(rope: &Rope) -> Option<String> {
    match &rope.scaling {
        Scaling::Default | Scaling::Linear { .. } => None,
        &Scaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
            let found = (factor, low_freq_factor, high_freq_factor, original_max_position_embeddings);
            (found != LLAMA3_BANDS).then(|| {
                format!(
                    "the rotary bands have factor, low_freq_factor, high_freq_factor and \
                     original_max_position_embeddings {found:?}; MaxText has {LLAMA3_BANDS:?} built in"
                )
            })
        }
        Scaling::Yarn { factor, beta_fast, beta_slow, .. } => {
            let expected = if *factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
            if [factor, beta_fast, beta_slow].iter().any(|number| number.fract() != 0.0) {
                Some("YaRN's factor, beta_fast and beta_slow are whole numbers in MaxText".to_owned())
            } else {
                let found = rope.attention_factor();
                ((found - expected).abs() > f64::EPSILON * expected)
                    .then(|| format!("YaRN's attention factor is {found}; MaxText computes {expected}"))
            }
        }
        Scaling::Dynamic { .. } => Some("MaxText has no dynamic rotary scaling".to_owned()),
        Scaling::LongRope { .. } => Some("MaxText has no LongRoPE".to_owned()),
    }
}

/// `LLaMARotaryEmbedding._apply_scaling_factor`: the bands of Llama 3.1.
const LLAMA3_BANDS: (f64, f64, f64, usize) = (8.0, 1.0, 4.0, 8192);

/// A number that `MaxText` takes as a whole one.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 { json!(number as i64) } else { json!(number) }
}

/// The function of `jax.nn`.
fn activation(activation: Activation) -> Option<&'static str> {
    match activation {
        Activation::Silu => Some("silu"),
        // The approximation is `jax.nn.gelu`'s default.
        Activation::GeluTanh => Some("gelu"),
        Activation::Relu => Some("relu"),
        Activation::Tanh => Some("tanh"),
        Activation::Gelu | Activation::QuickGelu => None,
    }
}
