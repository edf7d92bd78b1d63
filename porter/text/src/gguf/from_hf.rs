//! A `tokenizer.json` as GGUF metadata, as llama.cpp's `convert_hf_to_gguf.py` writes it.
//!
//! The converter knows a pre-tokenizer by the hash of the ids that it gives for one text; here it is known by its own
//! rules, which must be those of a name that llama.cpp has, step by step.

use serde_json::{Map, Value};

use super::{
    BYTE, CONTROL, GgufVocabulary, NORMAL, UNKNOWN, UNUSED, USER_DEFINED, byte_level, invalid, sentencepiece,
    unsupported,
};
use crate::error::TextError;
use crate::tokenizer::Tokenizer;

/// Texts on which both forms must agree: spaces, digits, contractions, scripts, marks, emoji, line ends.
const PROBES: [&str; 8] = [
    "Hello, world! It's 2026; we'll see 1234567890 things.",
    "  leading,   runs of   spaces \t tabs\r\n\r\n\n and line ends  ",
    "naïve café — Ünïcödé e\u{301} ﬁ Å",
    "日本語のテキスト и русский текст، نص عربي",
    "def f(x):\n    return x**2 + 0.5  # 3.14e-10",
    "👩\u{200d}👩\u{200d}👧 🙂🇺🇸 ✨\u{fe0f}",
    "$100 <b>&amp;</b> user@example.com https://x.y/z?a=1&b=2",
    "\u{0}\u{7f}\u{a0}\u{feff}I'M HERE, DON'T",
];

/// The most ids of a model; the largest in use (Gemma) has 262 144.
const MAX_IDS: usize = 1 << 22;

/// What a Hugging Face folder says of a tokenizer.
#[derive(Debug, Clone, Copy)]
pub struct HfTokenizer<'a> {
    /// The contents of `tokenizer.json`.
    pub json: &'a [u8],
    /// Its name in errors.
    pub origin: &'a str,
    /// The object in `tokenizer_config.json`, for the special tokens and the chat template.
    pub config: Option<&'a Value>,
    /// The contents of `chat_template.jinja`, which comes before the template in the config.
    pub chat_template: Option<&'a str>,
}

impl GgufVocabulary {
    /// The vocabulary of a `tokenizer.json` for a model of `vocab_size` ids. Ids without a token get one that no text
    /// has.
    ///
    /// What GGUF cannot say is refused by name: another algorithm than byte-level BPE or `SentencePiece`'s BPE, a
    /// splitting rule that llama.cpp has no name for, merges that no scores stand for, tokens that strip spaces, other
    /// texts around than BOS and EOS. Both forms are then compared on some awkward texts.
    pub fn from_hf(hf: &HfTokenizer<'_>, vocab_size: usize) -> Result<Self, TextError> {
        let tokenizer = Tokenizer::from_json(hf.json, hf.origin)?;
        let json: Value = serde_json::from_slice(hf.json).map_err(|error| bad(hf, error.to_string()))?;
        let mut vocabulary = Self { model: algorithm(&json)?.to_owned(), ..Self::default() };
        vocabulary.set_tokens(hf, &json, vocab_size)?;
        vocabulary.set_special(hf, &json);
        let merges = merges(hf, &json)?;
        if vocabulary.model == "gpt2" {
            vocabulary.pre = Some(byte_level::pre_tokenizer(&json)?.to_owned());
            vocabulary.merges = merges.iter().map(|(left, right)| format!("{left} {right}")).collect();
        } else {
            vocabulary.add_space_prefix = Some(sentencepiece::space_prefix(&json)?);
            sentencepiece::set_scores(&mut vocabulary, &merges)?;
        }
        vocabulary.set_edges(hf, &tokenizer)?;
        vocabulary.chat_template = chat_template(hf);
        vocabulary.compare(hf, &tokenizer)?;
        Ok(vocabulary)
    }

    /// Tokens and their types, by id.
    fn set_tokens(&mut self, hf: &HfTokenizer<'_>, json: &Value, vocab_size: usize) -> Result<(), TextError> {
        if vocab_size > MAX_IDS {
            return Err(bad(hf, format!("the model has {vocab_size} ids; at most {MAX_IDS} are written")));
        }
        let listed = json["model"]["vocab"].as_object().into_iter().flatten();
        let listed = listed.filter_map(|(token, id)| Some((id.as_u64()?, token.as_str(), NORMAL)));
        let added = json["added_tokens"].as_array().into_iter().flatten();
        for token in added.clone() {
            for key in ["lstrip", "rstrip", "single_word"] {
                if token[key] == Value::Bool(true) {
                    return Err(unsupported("added_tokens", token, "tokens that strip nothing around them"));
                }
            }
        }
        let added = added.filter_map(|token| {
            let kind = if token["special"] == Value::Bool(true) { CONTROL } else { USER_DEFINED };
            Some((token["id"].as_u64()?, token["content"].as_str()?, kind))
        });
        let mut tokens: Vec<Option<(&str, i32)>> = vec![None; vocab_size];
        for (id, token, kind) in listed.chain(added) {
            let place = usize::try_from(id).ok().and_then(|id| tokens.get_mut(id));
            let place = place.ok_or_else(|| {
                bad(hf, format!("token {token:?} has id {id}, and the model has {vocab_size} ids"))
            })?;
            *place = Some((token, kind));
        }
        let unknown = json["model"]["unk_token"].as_str();
        for (id, token) in tokens.into_iter().enumerate() {
            let (token, kind) = match token {
                None => (format!("[PAD{id}]"), UNUSED),
                Some((token, _)) if Some(token) == unknown => (token.to_owned(), UNKNOWN),
                Some((token, NORMAL)) if self.model == "llama" && is_byte(token) => (token.to_owned(), BYTE),
                Some((token, kind)) => (token.to_owned(), kind),
            };
            self.tokens.push(token);
            self.token_types.push(kind);
        }
        Ok(())
    }

    /// The ids of the special tokens that the config names.
    fn set_special(&mut self, hf: &HfTokenizer<'_>, json: &Value) {
        let named = |key: &str| -> Option<u32> {
            let value = hf.config?.get(key)?;
            let text = value.get("content").unwrap_or(value).as_str()?;
            self.id(text)
        };
        let (bos, eos, pad) = (named("bos_token"), named("eos_token"), named("pad_token"));
        let unk = json["model"]["unk_token"].as_str().and_then(|token| self.id(token));
        let unk = unk.or_else(|| named("unk_token"));
        (self.bos, self.eos, self.pad, self.unk) = (bos, eos, pad, unk);
    }

    fn id(&self, text: &str) -> Option<u32> {
        self.tokens.iter().position(|token| token == text).and_then(|id| u32::try_from(id).ok())
    }

    /// Whether BOS and EOS stand around a text, as the tokenizer itself puts them there.
    fn set_edges(&mut self, hf: &HfTokenizer<'_>, tokenizer: &Tokenizer) -> Result<(), TextError> {
        let (plain, whole) = (tokenizer.encode_without_special("a")?.ids, tokenizer.encode("a")?.ids);
        let at = whole.windows(plain.len().max(1)).position(|window| window == plain);
        let (before, after) = match at {
            Some(at) if !plain.is_empty() => (&whole[..at], &whole[at + plain.len()..]),
            _ => (&whole[..], &[][..]),
        };
        let other = || bad(hf, format!("{before:?} and {after:?} stand around a text; GGUF has BOS and EOS"));
        let edge = |found: &[u32], known: Option<u32>| match (found, known) {
            ([], known) => Ok((known, false)),
            ([id], None) => Ok((Some(*id), true)),
            ([id], Some(known)) if *id == known => Ok((Some(known), true)),
            _ => Err(other()),
        };
        let (bos, add_bos) = edge(before, self.bos)?;
        let (eos, add_eos) = edge(after, self.eos)?;
        (self.bos, self.add_bos, self.eos, self.add_eos) = (bos, Some(add_bos), eos, Some(add_eos));
        Ok(())
    }

    /// Both forms give the same ids.
    fn compare(&self, hf: &HfTokenizer<'_>, tokenizer: &Tokenizer) -> Result<(), TextError> {
        let own = self.tokenizer()?;
        for text in PROBES {
            let (found, expected) = (own.encode(text)?.ids, tokenizer.encode(text)?.ids);
            if found != expected {
                return Err(bad(
                    hf,
                    format!("as GGUF it gives {found:?} for {text:?}, and not {expected:?}"),
                ));
            }
        }
        Ok(())
    }
}

/// `tokenizer.ggml.model` of the algorithm.
fn algorithm(json: &Value) -> Result<&'static str, TextError> {
    const KNOWN: &str =
        "byte-level BPE and SentencePiece's BPE, without dropout, affixes or unknown tokens of their own";
    let model = &json["model"];
    let set = |key: &str| !matches!(&model[key], Value::Null | Value::Bool(false)) && model[key] != "";
    let described = || {
        let keys = model.as_object().into_iter().flatten();
        Value::Object(
            keys.filter(|(_, value)| !value.is_array() && !value.is_object())
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<Map<_, _>>(),
        )
    };
    let plain = model["type"] == "BPE"
        && !["dropout", "continuing_subword_prefix", "end_of_word_suffix"].into_iter().any(set);
    match (plain, set("byte_fallback"), set("unk_token") || set("fuse_unk")) {
        (true, false, false) => Ok("gpt2"),
        (true, true, _) => Ok("llama"),
        _ => Err(unsupported("model", &described(), KNOWN)),
    }
}

/// The merges, in either of the two ways in which they are written.
fn merges(hf: &HfTokenizer<'_>, json: &Value) -> Result<Vec<(String, String)>, TextError> {
    let listed = json["model"]["merges"].as_array().into_iter().flatten();
    let pair = |merge: &Value| {
        let pair = match merge {
            Value::String(text) => text.split_once(' '),
            _ => merge[0].as_str().zip(merge[1].as_str()),
        };
        let spaced = |part: &str| part.contains(' ');
        let pair = pair.filter(|(left, right)| !spaced(left) && !spaced(right));
        let pair = pair.map(|(left, right)| (left.to_owned(), right.to_owned()));
        pair.ok_or_else(|| bad(hf, format!("merge {merge} is not of two tokens without spaces")))
    };
    listed.map(pair).collect()
}

fn chat_template(hf: &HfTokenizer<'_>) -> Option<String> {
    if let Some(template) = hf.chat_template {
        return Some(template.to_owned());
    }
    let template = hf.config?.get("chat_template")?;
    let default =
        || template.as_array()?.iter().find(|named| named["name"] == "default")?["template"].as_str();
    template.as_str().or_else(default).map(str::to_owned)
}

/// `<0x41>`.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

fn bad(hf: &HfTokenizer<'_>, reason: String) -> TextError {
    match invalid(reason) {
        TextError::Tokenizer { reason, .. } => TextError::Tokenizer { origin: hf.origin.to_owned(), reason },
        other => other,
    }
}
