//! A configuration in the words of GGUF: [`super::gguf`] the other way round.

use porter_weights::{Metadata, Value as Stored};
use serde_json::{Map, Value, json};

use super::{
    Problem, ProblemKind,
    gguf::{KEYS, SCALING},
};

/// Config keys that GGUF has no key for, and the only value that its readers compute: `null` where any
/// does, since the tensors say it.
fn implied(architecture: &str, key: &str) -> Option<Value> {
    Some(match key {
        "hidden_act" => json!("silu"),
        "use_sliding_window" => json!(false),
        "attention_bias" if architecture == "qwen3" => json!(false),
        "tie_word_embeddings" | "attention_bias" | "mlp_bias" => Value::Null,
        _ => return None,
    })
}

/// The metadata of a model of `architecture` whose resolved `config` is given
/// ([`Architecture::config`](crate::architecture::Architecture::config)), or everything that GGUF
/// cannot say. Frequency factors (`rope_type` `llama3` and `longrope`) are a tensor, and not here.
pub(crate) fn metadata(architecture: &str, config: &Map<String, Value>) -> Result<Metadata, Vec<Problem>> {
    let mut words = Words { architecture, metadata: Metadata::default(), problems: Vec::new() };
    words.metadata.insert("general.architecture", Stored::String(architecture.to_owned()));
    for (key, value) in config.iter().filter(|(_, value)| !value.is_null()) {
        match (value.as_object(), implied(architecture, key)) {
            (Some(scaling), _) if key == "rope_scaling" => words.scaling(scaling),
            (_, Some(implied)) if implied.is_null() || implied == *value => {}
            (_, Some(implied)) => words.refuse(key, value, &format!("its readers compute {implied}")),
            _ => words.put(KEYS, "", key, value),
        }
    }
    if let Some(head_dim) = config.get("head_dim") {
        words.metadata.insert(words.key("attention.value_length"), stored(head_dim));
        words.metadata.insert(words.key("rope.dimension_count"), stored(head_dim));
    }
    if words.problems.is_empty() { Ok(words.metadata) } else { Err(words.problems) }
}

struct Words<'a> {
    architecture: &'a str,
    metadata: Metadata,
    problems: Vec<Problem>,
}

impl Words<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn scaling(&mut self, scaling: &Map<String, Value>) {
        match scaling.get("rope_type").and_then(Value::as_str) {
            Some("llama3" | "longrope") => {}
            Some("linear" | "yarn") => {
                for (key, value) in scaling {
                    // llama.cpp multiplies by this where transformers takes it for the whole.
                    if key == "attention_factor" {
                        self.refuse("rope_scaling.attention_factor", value, "its readers compute their own");
                    } else {
                        self.put(SCALING, "rope_scaling.", key, value);
                    }
                }
            }
            _ => {
                let found = scaling.get("rope_type").unwrap_or(&Value::Null);
                self.refuse(
                    "rope_scaling.rope_type",
                    found,
                    "it has linear, yarn and factors of frequencies",
                );
            }
        }
    }

    /// Writes `value` under the key that `table` has for the config's.
    fn put(&mut self, table: &[(&str, &str)], prefix: &str, key: &str, value: &Value) {
        match table.iter().find(|(_, hf)| *hf == key) {
            Some((gguf, _)) => drop(self.metadata.insert(self.key(gguf), stored(value))),
            None => self.refuse(&format!("{prefix}{key}"), value, "it has no key that says it"),
        }
    }

    fn refuse(&mut self, key: &str, found: &Value, why: &str) {
        let what = format!("found {found}; GGUF's {:?} cannot hold it: {why}", self.architecture);
        self.problems.push(Problem { key: key.to_owned(), kind: ProblemKind::Unsupported, what });
    }
}

/// A value in the type that llama.cpp reads: whole numbers as `u32`, others as `f32`.
fn stored(value: &Value) -> Stored {
    match (value.as_u64().and_then(|whole| u32::try_from(whole).ok()), value) {
        (Some(whole), _) => Stored::U32(whole),
        (None, Value::Bool(truth)) => Stored::Bool(*truth),
        (None, Value::String(text)) => Stored::String(text.clone()),
        (None, number) => Stored::F32(number.as_f64().unwrap_or(f64::NAN) as f32),
    }
}
