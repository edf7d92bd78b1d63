//! `tokenizer.ggml.model = gpt2`: byte-level BPE and its pre-tokenizers.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{SplitDelimiterBehavior, Tokenizer};

use super::{GgufVocabulary, invalid, unsupported};
use crate::error::TextError;

/// Llama 3's splitting pattern (`tokenizer.json` of meta-llama/Meta-Llama-3-8B).
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen2's splitting pattern (`tokenizer.json` of Qwen/Qwen2-7B): Llama 3's with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The steps around GPT-2's own pattern in llama.cpp's default rules, which are Falcon's.
const DEFAULT_PUNCTUATION: &str = r"[\p{P}\$\+<=>\^~\|]+";
const DEFAULT_NUMBERS: &str = r"\p{N}+";
const DEFAULT_THREE_DIGITS: &str = "[0-9][0-9][0-9]";

/// What a pre-tokenizer's name stands for.
struct Rules {
    steps: Vec<PreTokenizerWrapper>,
    /// Whether text is brought to Unicode NFC first.
    nfc: bool,
    /// Whether a whole word of the vocabulary wins over its merges.
    ignore_merges: bool,
    /// Whether a BOS token is added where the file does not say.
    bos: bool,
}

/// Every name that [`Rules::named`] knows, once.
const NAMES: [&str; 5] = ["gpt-2", "smollm", "qwen2", "llama-bpe", "default"];

/// The names, for people.
const KNOWN: &str = "`default`, `gpt-2`, `llama-bpe`, `qwen2` and `smollm`";

/// The name of the rules that a `tokenizer.json` has: those whose every step is the same. A step that
/// only moves offsets does not count.
pub(super) fn pre_tokenizer(tokenizer: &Value) -> Result<&'static str, TextError> {
    let found = |key: &str| tokenizer.get(key).unwrap_or(&Value::Null);
    let steps = steps(found("pre_tokenizer"));
    let nfc = match found("normalizer") {
        Value::Null => false,
        normalizer if *normalizer == json!({"type": "NFC"}) => true,
        other => return Err(unsupported("normalizer", other, "none and NFC in byte-level tokenizers")),
    };
    let ignores = found("model").get("ignore_merges") == Some(&Value::Bool(true));
    for name in NAMES {
        let rules = Rules::named(name)?;
        let own = serde_json::to_value(Sequence::new(rules.steps)).map_err(|e| invalid(e.to_string()))?;
        if self::steps(&own) == steps && rules.nfc == nfc && rules.ignore_merges == ignores {
            return Ok(name);
        }
    }
    Err(unsupported("pre_tokenizer", found("pre_tokenizer"), KNOWN))
}

/// The steps of a pre-tokenizer, without what only moves offsets.
fn steps(pre_tokenizer: &Value) -> Vec<Value> {
    let inner = pre_tokenizer.get("pretokenizers").and_then(Value::as_array);
    let inner: Vec<Value> = inner.cloned().unwrap_or_else(|| vec![pre_tokenizer.clone()]);
    let bare = inner.into_iter().map(|mut step| {
        if let Some(step) = step.as_object_mut() {
            step.remove("trim_offsets");
        }
        step
    });
    bare.collect()
}

impl Rules {
    fn named(name: &str) -> Result<Self, TextError> {
        let plain = |steps| Self { steps, nfc: false, ignore_merges: false, bos: false };
        Ok(match name {
            "gpt-2" => plain(vec![gpt2()]),
            "smollm" => plain(vec![Digits::new(true).into(), gpt2()]),
            "qwen2" => Self { nfc: true, ..plain(vec![split(QWEN2)?, bytes()]) },
            "llama-bpe" | "llama3" | "llama-v3" => {
                Self { ignore_merges: true, bos: true, ..plain(vec![split(LLAMA3)?, bytes()]) }
            }
            "default" => plain(vec![
                split(DEFAULT_PUNCTUATION)?,
                gpt2(),
                split(DEFAULT_NUMBERS)?,
                split(DEFAULT_THREE_DIGITS)?,
            ]),
            _ => {
                return Err(TextError::Unsupported {
                    field: "tokenizer.ggml.pre",
                    found: name.to_owned(),
                    known: KNOWN,
                });
            }
        })
    }
}

/// GPT-2's pattern and the mapping of bytes to printable characters.
fn gpt2() -> PreTokenizerWrapper {
    ByteLevel::new(false, true, true).into()
}

/// The mapping of bytes to printable characters alone.
fn bytes() -> PreTokenizerWrapper {
    ByteLevel::new(false, true, false).into()
}

fn split(pattern: &str) -> Result<PreTokenizerWrapper, TextError> {
    Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false)
        .map(Into::into)
        .map_err(|error| invalid(error.to_string()))
}

/// The tokenizer without its special tokens, and whether it adds BOS where the file does not say.
pub(super) fn build(
    vocabulary: &GgufVocabulary,
    ids: HashMap<&str, u32>,
) -> Result<(Tokenizer, bool), TextError> {
    let rules = Rules::named(vocabulary.pre.as_deref().unwrap_or("missing"))?;
    let vocab: Vocab = ids.into_iter().map(|(token, id)| (token.to_owned(), id)).collect();
    let merges = vocabulary.merges.iter().map(|merge| pair(merge)).collect::<Result<Vec<_>, _>>()?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .ignore_merges(rules.ignore_merges)
        .build()
        .map_err(|error| invalid(error.to_string()))?;
    let mut inner = Tokenizer::new(bpe);
    if rules.nfc {
        inner.with_normalizer(Some(NFC)).map_err(|error| invalid(error.to_string()))?;
    }
    inner.with_pre_tokenizer(Some(Sequence::new(rules.steps)));
    inner.with_decoder(Some(ByteLevel::default()));
    Ok((inner, rules.bos))
}

fn pair(merge: &str) -> Result<(String, String), TextError> {
    match merge.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() => {
            Ok((left.to_owned(), right.to_owned()))
        }
        _ => Err(invalid(format!(
            "tokenizer.ggml.merges holds {merge:?}; expected two tokens with a space between them"
        ))),
    }
}
