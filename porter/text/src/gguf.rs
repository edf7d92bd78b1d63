//! Tokenizers from GGUF metadata, and into it.
//!
//! A GGUF file holds the vocabulary, the merges and the *name* of the pre-tokenizer, not its rules; those are here,
//! as llama.cpp's `src/llama-vocab.cpp` and the models' own `tokenizer.json` define them. A name that is not known is
//! refused: a wrong splitting rule gives plausible ids and silently worse text.

mod byte_level;
mod from_hf;
mod metadata;
mod sentencepiece;
mod to_hf;

pub use from_hf::HfTokenizer;
pub use to_hf::HfFiles;

use std::collections::HashMap;

use serde_json::{Value, json};
use tokenizers::AddedToken;
use tokenizers::processors::template::TemplateProcessing;

use crate::error::TextError;
use crate::tokenizer::Tokenizer;

/// `tokenizer.ggml.token_type` of tokens that are text.
const NORMAL: i32 = 1;
/// `tokenizer.ggml.token_type` of ids that no text has.
const UNUSED: i32 = 5;
/// `tokenizer.ggml.token_type` of the tokens that stand for one byte.
const BYTE: i32 = 6;
/// `tokenizer.ggml.token_type` of the token for unknown text.
const UNKNOWN: i32 = 2;
/// `tokenizer.ggml.token_type` of tokens that stand for structure.
const CONTROL: i32 = 3;
/// `tokenizer.ggml.token_type` of tokens that are found in text before anything else, but are text.
const USER_DEFINED: i32 = 4;

/// The `tokenizer.*` metadata of a GGUF file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GgufVocabulary {
    /// `tokenizer.ggml.model`: the algorithm, `gpt2` (byte-level BPE) or `llama` (`SentencePiece` BPE).
    pub model: String,
    /// `tokenizer.ggml.pre`: how text is split before BPE; only `gpt2` has it.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`: the vocabulary, by id.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.merges`: pairs joined by a space, best first; only `gpt2` needs them.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.scores`: one a token; only `llama` needs them.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.token_type`: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.eot_token_id`: the end of a turn, which ends generation too.
    pub eot: Option<u32>,
    /// `tokenizer.ggml.padding_token_id`.
    pub pad: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unk: Option<u32>,
    /// `tokenizer.ggml.add_bos_token`; where absent, the algorithm's default.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`; where absent, false.
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`; where absent, true. Only `llama` has it.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.chat_template`.
    pub chat_template: Option<String>,
}

impl GgufVocabulary {
    /// Builds the tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer, TextError> {
        let ids = self.checked_ids()?;
        let (mut inner, bos_by_default) = match self.model.as_str() {
            "gpt2" => byte_level::build(self, ids)?,
            "llama" => (sentencepiece::build(self, ids)?, true),
            _ => {
                return Err(TextError::Unsupported {
                    field: "tokenizer.ggml.model",
                    found: self.model.clone(),
                    known: "`gpt2` and `llama`",
                });
            }
        };
        inner
            .add_special_tokens(self.added(&[UNKNOWN, CONTROL], true))
            .map_err(|error| invalid(error.to_string()))?;
        inner.add_tokens(self.added(&[USER_DEFINED], false)).map_err(|error| invalid(error.to_string()))?;
        if let Some(template) = self.post_processor(bos_by_default)? {
            inner.with_post_processor(Some(template));
        }
        Tokenizer::new(inner).map_err(invalid)
    }

    /// The ids after which generation ends.
    pub fn stop_ids(&self) -> impl Iterator<Item = u32> {
        self.eos.into_iter().chain(self.eot)
    }

    /// Token to id, once the parts are known to fit together.
    fn checked_ids(&self) -> Result<HashMap<&str, u32>, TextError> {
        let mut problems = Vec::new();
        let count = self.tokens.len();
        if u32::try_from(count).is_err() || count == 0 {
            problems.push(format!("tokenizer.ggml.tokens has {count} entries"));
        }
        for (field, found) in [
            ("tokenizer.ggml.token_type", self.token_types.len()),
            ("tokenizer.ggml.scores", self.scores.len()),
        ] {
            if found != 0 && found != count {
                problems.push(format!("{field} has {found} entries for {count} tokens"));
            }
        }
        for (field, id) in [
            ("bos", self.bos),
            ("eos", self.eos),
            ("eot", self.eot),
            ("padding", self.pad),
            ("unknown", self.unk),
        ] {
            if id.is_some_and(|id| id as usize >= count) {
                problems.push(format!(
                    "tokenizer.ggml.{field}_token_id is {}, of {count} tokens",
                    id.unwrap_or_default()
                ));
            }
        }
        let mut ids = HashMap::with_capacity(count);
        for (id, token) in (0_u32..).zip(&self.tokens) {
            if let Some(first) = ids.insert(token.as_str(), id) {
                problems.push(format!("tokens {first} and {id} are both {token:?}"));
                if problems.len() > 8 {
                    break;
                }
            }
        }
        if problems.is_empty() { Ok(ids) } else { Err(invalid(problems.join("; "))) }
    }

    fn added(&self, types: &[i32], special: bool) -> Vec<AddedToken> {
        let chosen = self.tokens.iter().zip(&self.token_types).filter(|(_, kind)| types.contains(kind));
        chosen.map(|(token, _)| AddedToken::from(token.clone(), special).normalized(false)).collect()
    }

    /// BOS and EOS around the text, where the file or the algorithm asks for them.
    fn post_processor(&self, bos_by_default: bool) -> Result<Option<TemplateProcessing>, TextError> {
        let bos =
            self.added_around(&Edge { name: "bos", id: self.bos, asked: self.add_bos }, bos_by_default)?;
        let eos = self.added_around(&Edge { name: "eos", id: self.eos, asked: self.add_eos }, false)?;
        if bos.is_none() && eos.is_none() {
            return Ok(None);
        }
        let piece = |(token, _): (&str, u32)| json!({"SpecialToken": {"id": token, "type_id": 0}});
        let text = |sequence: &str| json!({"Sequence": {"id": sequence, "type_id": 0}});
        let around = |texts: Vec<Value>| -> Vec<Value> {
            bos.map(piece).into_iter().chain(texts).chain(eos.map(piece)).collect()
        };
        let special: serde_json::Map<String, Value> = bos
            .into_iter()
            .chain(eos)
            .map(|(token, id)| (token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]})))
            .collect();
        let template = json!({
            "single": around(vec![text("A")]),
            "pair": around(vec![text("A"), text("B")]),
            "special_tokens": special,
        });
        serde_json::from_value(template).map(Some).map_err(|error| invalid(error.to_string()))
    }

    /// The token added at one end; `default` says whether it is, where the file does not.
    fn added_around(&self, edge: &Edge, default: bool) -> Result<Option<(&str, u32)>, TextError> {
        let &Edge { name, id, asked } = edge;
        if asked == Some(true) && id.is_none() {
            return Err(invalid(format!("add_{name}_token is set, but there is no {name}_token_id")));
        }
        let id = id.filter(|_| asked.unwrap_or(default));
        Ok(id.and_then(|id| Some((self.tokens.get(id as usize)?.as_str(), id))))
    }
}

/// What a file says about the token before or after a text.
struct Edge {
    name: &'static str,
    id: Option<u32>,
    asked: Option<bool>,
}

/// A part of a `tokenizer.json` that GGUF has no name for, cut short.
fn unsupported(field: &'static str, found: &Value, known: &'static str) -> TextError {
    TextError::Unsupported { field, found: found.to_string().chars().take(400).collect(), known }
}

fn invalid(reason: String) -> TextError {
    TextError::Tokenizer { origin: "GGUF metadata".to_owned(), reason }
}
