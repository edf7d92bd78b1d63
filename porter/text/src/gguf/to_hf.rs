//! GGUF metadata as the files of a Hugging Face folder.

use serde_json::{Map, Value, json};

use super::GgufVocabulary;
use crate::error::TextError;

/// The tokenizer's files of a Hugging Face folder.
#[derive(Debug, Clone, PartialEq)]
pub struct HfFiles {
    /// `tokenizer.json`.
    pub tokenizer: String,
    /// `tokenizer_config.json`: the special tokens and the chat template.
    pub config: Map<String, Value>,
    /// `bos_token_id`, `eos_token_id` (a list, where a turn has an end of its own) and `pad_token_id`, for
    /// `config.json` and `generation_config.json`.
    pub ids: Map<String, Value>,
}

impl GgufVocabulary {
    /// The files that transformers reads the same tokenizer from.
    pub fn to_hf(&self) -> Result<HfFiles, TextError> {
        let text = |id: u32| self.tokens.get(id as usize).map(|token| json!(token));
        let special = [
            ("bos_token", self.bos),
            ("eos_token", self.eos),
            ("pad_token", self.pad),
            ("unk_token", self.unk),
        ];
        let mut config = Map::new();
        config.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
        config.insert("clean_up_tokenization_spaces".to_owned(), json!(false));
        config.extend(special.into_iter().filter_map(|(key, id)| Some((key.to_owned(), text(id?)?))));
        if let Some(template) = &self.chat_template {
            config.insert("chat_template".to_owned(), json!(template));
        }
        let ends: Vec<u32> = self.stop_ids().collect();
        let end = match ends.as_slice() {
            [] => None,
            [only] => Some(json!(only)),
            several => Some(json!(several)),
        };
        let ids = [
            ("bos_token_id", self.bos.map(Value::from)),
            ("eos_token_id", end),
            ("pad_token_id", self.pad.map(Value::from)),
        ];
        let ids = ids.into_iter().filter_map(|(key, id)| Some((key.to_owned(), id?))).collect();
        Ok(HfFiles { tokenizer: self.tokenizer()?.to_json()?, config, ids })
    }
}
