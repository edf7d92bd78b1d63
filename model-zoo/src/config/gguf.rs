//! GGUF metadata in the words of a config.json, so that both are read by the same code.
//!
//! Source of the keys: `gguf-py/gguf/constants.py` of llama.cpp.

use porter_ir::{DType, Shape};
use porter_weights::{Array, Checkpoint, Expr, Value as Metadata};
use serde_json::{Map, Value, json};

use super::{ConfigError, Problem};

/// GGUF keys without their architecture's prefix, and the config keys that mean the same.
pub(super) const KEYS: &[(&str, &str)] = &[
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("rope.freq_base", "rope_theta"),
    ("vocab_size", "vocab_size"),
];

/// GGUF keys of a rotary embedding's scaling, and their names in `rope_parameters`.
pub(super) const SCALING: &[(&str, &str)] = &[
    ("rope.scaling.type", "rope_type"),
    ("rope.scaling.factor", "factor"),
    ("rope.scaling.original_context_length", "original_max_position_embeddings"),
    ("rope.scaling.attn_factor", "attention_factor"),
    ("rope.scaling.yarn_beta_fast", "beta_fast"),
    ("rope.scaling.yarn_beta_slow", "beta_slow"),
];

/// GGUF keys that change no number.
const INERT: &[&str] = &["rope.scaling.finetuned"];

/// The tensor that holds a divisor for each rotary frequency.
pub(crate) const FREQUENCY_FACTORS: &str = "rope_freqs.weight";

/// The config of a GGUF file of `architecture`. Keys that have no counterpart keep their GGUF name,
/// so that reading the config reports them.
pub(crate) fn config(
    architecture: &str,
    checkpoint: &dyn Checkpoint,
) -> Result<Map<String, Value>, ConfigError> {
    let prefix = format!("{architecture}.");
    let mut config = Map::new();
    let mut scaling = Map::new();
    for (key, value) in checkpoint.metadata().iter() {
        let Some(name) = key.strip_prefix(&prefix) else { continue };
        if INERT.contains(&name) {
            continue;
        }
        if let Some(hf) = renamed(KEYS, name) {
            config.insert(hf.to_owned(), json(value));
        } else if let Some(hf) = renamed(SCALING, name) {
            scaling.insert(hf.to_owned(), json(value));
        } else {
            config.insert(key.to_owned(), json(value));
        }
    }
    let has = |tensor: &str| checkpoint.tensors().contains_key(tensor);
    config.insert("tie_word_embeddings".to_owned(), json!(!has("output.weight")));
    if has("blk.0.attn_q.bias") && architecture != "qwen2" {
        config.insert("attention_bias".to_owned(), json!(true));
    }
    if has("blk.0.ffn_up.bias") {
        config.insert("mlp_bias".to_owned(), json!(true));
    }
    if let Some(table) = checkpoint.tensors().get("token_embd.weight")
        && let Some(rows) = table.shape.first()
    {
        config.entry("vocab_size").or_insert_with(|| json!(rows));
    }
    same_head_dims(&prefix, &mut config);
    rope_parameters(&mut config, scaling, checkpoint)?;
    Ok(config)
}

/// A refusal with GGUF's keys in the place of config.json's.
pub(crate) fn in_gguf_words(architecture: &str, error: ConfigError) -> ConfigError {
    let ConfigError::Refused { architecture: class, mut problems } = error else { return error };
    for Problem { key, .. } in &mut problems {
        let inner = key.strip_prefix("rope_parameters.").unwrap_or(key);
        let known = KEYS.iter().chain(SCALING).find(|(_, hf)| *hf == inner);
        if let Some((gguf, _)) = known {
            *key = format!("{architecture}.{gguf}");
        }
    }
    ConfigError::Refused { architecture: class, problems }
}

/// Values have the size of keys, and all of a head is rotated: GGUF has keys for other cases. They
/// go where they say the same as `head_dim`, and stay to be reported where they do not.
fn same_head_dims(prefix: &str, config: &mut Map<String, Value>) {
    let heads = |key: &str| config.get(key).and_then(Value::as_u64);
    let equal_share = match (heads("hidden_size"), heads("num_attention_heads")) {
        (Some(hidden), Some(heads)) => hidden.checked_div(heads),
        _ => None,
    };
    let head_dim = heads("head_dim").or(equal_share);
    for key in ["attention.value_length", "rope.dimension_count"] {
        let key = format!("{prefix}{key}");
        if head_dim.is_some() && config.get(&key).and_then(Value::as_u64) == head_dim {
            config.remove(&key);
        }
    }
}

/// Sets `rope_parameters`. Frequency factors are those of `longrope` with one table for all lengths.
fn rope_parameters(
    config: &mut Map<String, Value>,
    mut scaling: Map<String, Value>,
    checkpoint: &dyn Checkpoint,
) -> Result<(), ConfigError> {
    if scaling.get("rope_type").is_some_and(|kind| kind == "none") {
        scaling.insert("rope_type".to_owned(), json!("default"));
    }
    if let Some(factors) = frequency_factors(checkpoint)? {
        let table = json!({
            "rope_type": "longrope", "factor": 1.0, "attention_factor": 1.0,
            "short_factor": factors, "long_factor": factors,
        });
        // A file with both would be scaled twice by llama.cpp; reading reports the contradiction.
        config.insert("rope_parameters".to_owned(), table);
        config.insert("rope_scaling".to_owned(), Value::Object(scaling));
    } else if !scaling.is_empty() {
        config.insert("rope_parameters".to_owned(), Value::Object(scaling));
    }
    Ok(())
}

/// The config key that `table` has for a GGUF key.
fn renamed(table: &[(&'static str, &'static str)], gguf: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == gguf).map(|(_, hf)| *hf)
}

fn frequency_factors(checkpoint: &dyn Checkpoint) -> Result<Option<Vec<f32>>, ConfigError> {
    let Some(info) = checkpoint.tensors().get(FREQUENCY_FACTORS) else { return Ok(None) };
    let failed =
        |source| porter_weights::Error::Parameter { parameter: FREQUENCY_FACTORS.to_owned(), source };
    let mut bytes = vec![0; Shape::elements(&info.shape).saturating_mul(size_of::<f32>())];
    Expr::source(FREQUENCY_FACTORS).evaluate(checkpoint, DType::F32, &mut bytes).map_err(failed)?;
    let float = |four: &[u8]| f32::from_le_bytes(four.try_into().unwrap_or_default());
    Ok(Some(bytes.chunks_exact(4).map(float).collect()))
}

fn json(value: &Metadata) -> Value {
    if let Some(text) = value.as_str() {
        json!(text)
    } else if let Some(truth) = value.as_bool() {
        json!(truth)
    } else if let Some(whole) = value.as_i64() {
        json!(whole)
    } else if let Metadata::F32(single) = value {
        // The shortest decimal, which is what the config said that the file was made from.
        single.to_string().parse::<f64>().map_or_else(|_| json!(single), |number| json!(number))
    } else if let Some(number) = value.as_f64() {
        json!(number)
    } else {
        // What a config holds are single values; a list is shown by its length.
        json!(format!("a list of {}", value.as_array().map_or(0, Array::len)))
    }
}
