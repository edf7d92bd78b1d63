//! The vocabulary as `porter_weights` reads it from a GGUF file.

use porter_weights::{Array, Metadata, Value};

use super::GgufVocabulary;
use crate::error::TextError;

impl TryFrom<&Metadata> for GgufVocabulary {
    type Error = TextError;

    /// Takes the `tokenizer.*` keys. Only `tokenizer.ggml.model` and `tokenizer.ggml.tokens` must be there; a key of
    /// the wrong type is an error.
    fn try_from(metadata: &Metadata) -> Result<Self, TextError> {
        let keys = Keys(metadata);
        Ok(Self {
            model: keys
                .text("tokenizer.ggml.model")?
                .ok_or_else(|| absent("tokenizer.ggml.model", "a text"))?,
            pre: keys.text("tokenizer.ggml.pre")?,
            tokens: keys
                .texts("tokenizer.ggml.tokens")?
                .ok_or_else(|| absent("tokenizer.ggml.tokens", "an array of texts"))?,
            merges: keys.texts("tokenizer.ggml.merges")?.unwrap_or_default(),
            scores: keys.numbers("tokenizer.ggml.scores")?.unwrap_or_default(),
            token_types: keys.integers("tokenizer.ggml.token_type")?.unwrap_or_default(),
            bos: keys.id("tokenizer.ggml.bos_token_id")?,
            eos: keys.id("tokenizer.ggml.eos_token_id")?,
            eot: keys.id("tokenizer.ggml.eot_token_id")?,
            pad: keys.id("tokenizer.ggml.padding_token_id")?,
            unk: keys.id("tokenizer.ggml.unknown_token_id")?,
            add_bos: keys.truth("tokenizer.ggml.add_bos_token")?,
            add_eos: keys.truth("tokenizer.ggml.add_eos_token")?,
            add_space_prefix: keys.truth("tokenizer.ggml.add_space_prefix")?,
            chat_template: keys.text("tokenizer.chat_template")?,
        })
    }
}

/// Typed access to keys that may be absent.
struct Keys<'a>(&'a Metadata);

impl Keys<'_> {
    fn find<T>(
        &self,
        key: &str,
        expected: &str,
        take: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, TextError> {
        let wrong = |value: &Value| TextError::Field {
            field: key.to_owned(),
            found: describe(value),
            expected: expected.to_owned(),
        };
        self.0.get(key).map(|value| take(value).ok_or_else(|| wrong(value))).transpose()
    }

    fn text(&self, key: &str) -> Result<Option<String>, TextError> {
        self.find(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    fn truth(&self, key: &str) -> Result<Option<bool>, TextError> {
        self.find(key, "true or false", Value::as_bool)
    }

    fn id(&self, key: &str) -> Result<Option<u32>, TextError> {
        self.find(key, "a token id", |value| value.as_u64().and_then(|id| u32::try_from(id).ok()))
    }

    fn texts(&self, key: &str) -> Result<Option<Vec<String>>, TextError> {
        self.find(key, "an array of texts", |value| value.as_array()?.strings().map(<[String]>::to_vec))
    }

    fn integers(&self, key: &str) -> Result<Option<Vec<i32>>, TextError> {
        self.find(key, "an array of 32-bit whole numbers", |value| {
            value.as_array()?.to_i64()?.into_iter().map(|number| i32::try_from(number).ok()).collect()
        })
    }

    fn numbers(&self, key: &str) -> Result<Option<Vec<f32>>, TextError> {
        self.find(key, "an array of 32-bit floats", |value| match value.as_array()? {
            Array::F32(numbers) => Some(numbers.clone()),
            _ => None,
        })
    }
}

fn absent(key: &str, expected: &str) -> TextError {
    TextError::Field { field: key.to_owned(), found: "nothing".to_owned(), expected: expected.to_owned() }
}

/// A value as an error shows it: arrays can have a million entries.
fn describe(value: &Value) -> String {
    match value {
        Value::Array(array) => format!("an array of {} entries", array.len()),
        other => format!("{other:?}").chars().take(80).collect(),
    }
}

impl GgufVocabulary {
    /// The `tokenizer.*` keys, in the types that llama.cpp reads: what [`GgufVocabulary::try_from`] takes.
    pub fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                metadata.insert(key, value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Value::String);
        let list = |list: Array| (!list.is_empty()).then_some(Value::Array(list));
        put("tokenizer.ggml.model", Some(Value::String(self.model.clone())));
        put("tokenizer.ggml.pre", text(&self.pre));
        put("tokenizer.ggml.tokens", Some(Value::Array(Array::String(self.tokens.clone()))));
        put("tokenizer.ggml.merges", list(Array::String(self.merges.clone())));
        put("tokenizer.ggml.scores", list(Array::F32(self.scores.clone())));
        put("tokenizer.ggml.token_type", list(Array::I32(self.token_types.clone())));
        put("tokenizer.ggml.bos_token_id", self.bos.map(Value::U32));
        put("tokenizer.ggml.eos_token_id", self.eos.map(Value::U32));
        put("tokenizer.ggml.eot_token_id", self.eot.map(Value::U32));
        put("tokenizer.ggml.padding_token_id", self.pad.map(Value::U32));
        put("tokenizer.ggml.unknown_token_id", self.unk.map(Value::U32));
        put("tokenizer.ggml.add_bos_token", self.add_bos.map(Value::Bool));
        put("tokenizer.ggml.add_eos_token", self.add_eos.map(Value::Bool));
        put("tokenizer.ggml.add_space_prefix", self.add_space_prefix.map(Value::Bool));
        put("tokenizer.chat_template", text(&self.chat_template));
        metadata
    }
}
