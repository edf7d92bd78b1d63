//! The keys that every decoder's configuration has.

use serde_json::{Map, Value, json};

use super::{Reader, read_rope, rope::write_scaling};
use crate::{blocks::Activation, decoder::Backbone};

/// What a configuration class has where a config says nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackboneDefaults {
    /// `None` means as many as query heads, which is also what `null` means.
    pub(crate) num_key_value_heads: Option<usize>,
    /// `None` means `hidden_size / num_attention_heads`, which is also what `null` means.
    pub(crate) head_dim: Option<usize>,
    pub(crate) max_position_embeddings: usize,
}

/// The largest number of layers accepted: programs are unrolled, and no published model has a
/// quarter of it.
const LARGEST_DEPTH: usize = 1024;

/// Reads a [`Backbone`]. The defaults that do not depend on the class are those of transformers
/// 5.23: `rms_norm_eps` 1e-6, `tie_word_embeddings` false.
pub(crate) fn read_backbone(r: &mut Reader<'_>, defaults: BackboneDefaults) -> Backbone {
    let hidden_size = r.size("hidden_size");
    let num_attention_heads = r.size("num_attention_heads");
    let kv_heads = r.nullable_size("num_key_value_heads", defaults.num_key_value_heads);
    let num_key_value_heads = kv_heads.unwrap_or(num_attention_heads);
    if !num_attention_heads.is_multiple_of(num_key_value_heads) {
        let why = format!("{num_attention_heads} query heads do not divide over them");
        r.unsupported("num_key_value_heads", num_key_value_heads, why);
    }
    let max_position_embeddings = r.count_or("max_position_embeddings", defaults.max_position_embeddings);
    let head_dim = read_head_dim(r, defaults, hidden_size, num_attention_heads);
    Backbone {
        vocab_size: r.count("vocab_size"),
        hidden_size,
        num_hidden_layers: read_depth(r),
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        rms_norm_eps: r.number_or("rms_norm_eps", 1e-6),
        max_position_embeddings,
        rope: read_rope(r, head_dim, max_position_embeddings),
        tie_word_embeddings: r.flag_or("tie_word_embeddings", false),
    }
}

/// The inverse of [`read_backbone`], in the spelling that every version of transformers reads.
pub(crate) fn write_backbone(backbone: &Backbone) -> Map<String, Value> {
    let keys = json!({
        "vocab_size": backbone.vocab_size,
        "hidden_size": backbone.hidden_size,
        "num_hidden_layers": backbone.num_hidden_layers,
        "num_attention_heads": backbone.num_attention_heads,
        "num_key_value_heads": backbone.num_key_value_heads,
        "head_dim": backbone.head_dim,
        "rms_norm_eps": backbone.rms_norm_eps,
        "max_position_embeddings": backbone.max_position_embeddings,
        "rope_theta": backbone.rope.theta,
        "tie_word_embeddings": backbone.tie_word_embeddings,
    });
    let Value::Object(mut keys) = keys else { return Map::new() };
    if let Some(scaling) = write_scaling(&backbone.rope.scaling) {
        keys.insert("rope_scaling".to_owned(), scaling.into());
    }
    keys
}

/// Reads `num_hidden_layers`.
pub(crate) fn read_depth(r: &mut Reader<'_>) -> usize {
    let depth = r.size("num_hidden_layers");
    if depth > LARGEST_DEPTH {
        r.unsupported("num_hidden_layers", depth, format!("at most {LARGEST_DEPTH} are supported"));
    }
    depth.min(LARGEST_DEPTH)
}

/// Reads `hidden_act`.
pub(crate) fn read_activation(r: &mut Reader<'_>, default: &'static str) -> Activation {
    let name = r.text_or("hidden_act", default);
    Activation::from_name(name).unwrap_or_else(|| {
        r.unsupported("hidden_act", json!(name), format!("supported are {}", Activation::NAMES));
        Activation::Silu
    })
}

fn read_head_dim(r: &mut Reader<'_>, defaults: BackboneDefaults, hidden_size: usize, heads: usize) -> usize {
    r.nullable_size("head_dim", defaults.head_dim).unwrap_or_else(|| {
        if !hidden_size.is_multiple_of(heads) {
            let why = format!("{heads} heads do not divide it, and there is no head_dim");
            r.unsupported("hidden_size", hidden_size, why);
        }
        hidden_size / heads
    })
}
