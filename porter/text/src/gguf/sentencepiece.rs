//! `tokenizer.ggml.model = llama`: `SentencePiece`'s BPE, which scores tokens instead of listing merges, writes spaces
//! as `▁` and falls back to byte tokens.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokenizers::Tokenizer;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::{NormalizerWrapper, Prepend, Replace, Sequence as Normalizers};

use super::{GgufVocabulary, NORMAL, invalid, unsupported};
use crate::error::TextError;

/// Every split of a token into two is looked up, so the work grows with the square of a token's length. The longest
/// in use (runs of spaces) have fewer than 100 bytes.
const MAX_TOKEN_BYTES: usize = 512;
const SPACE: &str = "▁";

pub(super) fn build(vocabulary: &GgufVocabulary, ids: HashMap<&str, u32>) -> Result<Tokenizer, TextError> {
    if vocabulary.scores.is_empty() {
        return Err(invalid("tokenizer.ggml.scores is missing; the `llama` tokenizer needs it".to_owned()));
    }
    if let Some(id) = vocabulary.scores.iter().position(|score| score.is_nan()) {
        return Err(invalid(format!("tokenizer.ggml.scores[{id}] is not a number")));
    }
    let merges = merges(vocabulary, &ids)?;
    let vocab: Vocab = ids.into_iter().map(|(token, id)| (token.to_owned(), id)).collect();
    let mut builder = BPE::builder().vocab_and_merges(vocab, merges).byte_fallback(true).fuse_unk(true);
    if let Some(unk) = vocabulary.unk.and_then(|id| vocabulary.tokens.get(id as usize)) {
        builder = builder.unk_token(unk.clone());
    }
    let mut inner = Tokenizer::new(builder.build().map_err(|error| invalid(error.to_string()))?);
    let prefix = vocabulary.add_space_prefix.unwrap_or(true);
    inner.with_normalizer(Some(normalizer(prefix)?)).map_err(|error| invalid(error.to_string()))?;
    inner.with_decoder(Some(decoder(prefix)?));
    Ok(inner)
}

fn normalizer(prefix: bool) -> Result<Normalizers, TextError> {
    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    if prefix {
        steps.push(Prepend::new(SPACE.to_owned()).into());
    }
    steps.push(replace(" ", SPACE)?.into());
    Ok(Normalizers::new(steps))
}

fn decoder(prefix: bool) -> Result<Decoders, TextError> {
    let mut steps: Vec<DecoderWrapper> =
        vec![replace(SPACE, " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if prefix {
        steps.push(Strip::new(' ', 1, 0).into());
    }
    Ok(Decoders::new(steps))
}

fn replace(from: &str, to: &str) -> Result<Replace, TextError> {
    Replace::new(from, to).map_err(|error| invalid(error.to_string()))
}

/// Whether a `tokenizer.json` that is built as [`build`] does puts a space before the text.
pub(super) fn space_prefix(tokenizer: &Value) -> Result<bool, TextError> {
    let found = |key: &str| tokenizer.get(key).unwrap_or(&Value::Null);
    if !found("pre_tokenizer").is_null() {
        let known = "none with SentencePiece's normalizer, which is what llama.cpp computes";
        return Err(unsupported("pre_tokenizer", found("pre_tokenizer"), known));
    }
    let same = |prefix: bool| -> Result<bool, TextError> {
        let own = serde_json::to_value(normalizer(prefix)?).map_err(|error| invalid(error.to_string()))?;
        let bare = own.get("normalizers").and_then(|steps| steps.get(0)).filter(|_| !prefix);
        Ok(*found("normalizer") == own || bare == Some(found("normalizer")))
    };
    if same(true)? {
        return Ok(true);
    }
    if same(false)? {
        return Ok(false);
    }
    Err(unsupported(
        "normalizer",
        found("normalizer"),
        "SentencePiece's: a `▁` before the text and for spaces",
    ))
}

/// Scores that stand for the listed merges of a `tokenizer.json`, best first: the sooner a token is
/// listed the higher it scores. An error where no scores stand for them.
pub(super) fn set_scores(
    vocabulary: &mut GgufVocabulary,
    listed: &[(String, String)],
) -> Result<(), TextError> {
    let ids: HashMap<String, u32> = vocabulary.tokens.iter().cloned().zip(0_u32..).collect();
    vocabulary.scores = vec![0.0; vocabulary.tokens.len()];
    let mut rank = 0_u32;
    for (left, right) in listed {
        let id = ids.get(&format!("{left}{right}")).map(|id| *id as usize);
        if let Some(score) = id.and_then(|id| vocabulary.scores.get_mut(id)).filter(|score| **score == 0.0) {
            rank += 1;
            *score = -(rank as f32);
        }
    }
    let ids = ids.iter().map(|(token, id)| (token.as_str(), *id)).collect();
    let standing = merges(vocabulary, &ids)?;
    match standing.iter().zip(listed).position(|(standing, listed)| standing != listed) {
        None if standing.len() == listed.len() => Ok(()),
        at => {
            let at = at.unwrap_or(standing.len().min(listed.len()));
            let known =
                "merges that SentencePiece's scores stand for: all of a token's, tokens one after another";
            Err(unsupported("model.merges", &json!({ "at": at, "listed": listed.get(at) }), known))
        }
    }
}

/// The merges that the scores stand for: every way to put a token together from two others, best score first.
fn merges(vocabulary: &GgufVocabulary, ids: &HashMap<&str, u32>) -> Result<Vec<(String, String)>, TextError> {
    let mut found: Vec<(f32, u32, u32, &str, &str)> = Vec::new();
    for (id, (token, &score)) in vocabulary.tokens.iter().zip(&vocabulary.scores).enumerate() {
        if vocabulary.token_types.get(id).is_some_and(|&kind| kind != NORMAL) {
            continue;
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid(format!(
                "token {id} has {} bytes, more than {MAX_TOKEN_BYTES}",
                token.len()
            )));
        }
        for (middle, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(middle);
            if let (Some(&left_id), Some(&right_id)) = (ids.get(left), ids.get(right)) {
                found.push((score, left_id, right_id, left, right));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    Ok(found.into_iter().map(|(_, _, _, left, right)| (left.to_owned(), right.to_owned())).collect())
}
