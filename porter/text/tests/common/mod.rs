//! Tokenizers that several tests need.
#![allow(dead_code, reason = "each test binary uses some of these")]

use std::path::{Path, PathBuf};

use porter_text::{GgufVocabulary, Tokenizer};
use serde_json::Value;

/// A folder of `ci/fixtures/tiny`.
pub(crate) fn tiny(model: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny")).join(model)
}

/// A file of `tests/data`.
pub(crate) fn data(name: &str) -> Value {
    json(&PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).join(name))
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The GGUF metadata that llama.cpp's converter writes for a byte-level `tokenizer.json`.
pub(crate) fn gguf_of(model: &str, pre: &str) -> GgufVocabulary {
    let tokenizer = json(&tiny(model).join("tokenizer.json"));
    let mut vocab: Vec<(String, u64)> = tokenizer["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (token.clone(), id.as_u64().unwrap()))
        .collect();
    vocab.sort_by_key(|(_, id)| *id);
    let mut token_types = vec![1; vocab.len()];
    for added in tokenizer["added_tokens"].as_array().unwrap() {
        let id = added["id"].as_u64().unwrap() as usize;
        token_types[id] = if added["special"] == true { 3 } else { 4 };
        assert_eq!(vocab[id].0, added["content"].as_str().unwrap());
    }
    let merge = |pair: &Value| format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
    GgufVocabulary {
        model: "gpt2".to_owned(),
        pre: Some(pre.to_owned()),
        tokens: vocab.into_iter().map(|(token, _)| token).collect(),
        merges: tokenizer["model"]["merges"].as_array().unwrap().iter().map(merge).collect(),
        token_types,
        ..GgufVocabulary::default()
    }
}

/// The `SentencePiece` model of `tests/data`, as GGUF metadata.
pub(crate) fn sentencepiece() -> GgufVocabulary {
    let recorded = data("sentencepiece.json");
    let field = |name: &str| serde_json::from_value(recorded[name].clone()).unwrap();
    GgufVocabulary {
        model: "llama".to_owned(),
        tokens: serde_json::from_value(recorded["tokens"].clone()).unwrap(),
        scores: serde_json::from_value(recorded["scores"].clone()).unwrap(),
        token_types: serde_json::from_value(recorded["token_types"].clone()).unwrap(),
        bos: Some(field("bos")),
        eos: Some(field("eos")),
        unk: Some(field("unk")),
        ..GgufVocabulary::default()
    }
}

/// One tokenizer of every decoder that models use.
pub(crate) fn all() -> Vec<(&'static str, Tokenizer)> {
    let file =
        |model: &'static str| (model, Tokenizer::from_file(&tiny(model).join("tokenizer.json")).unwrap());
    vec![
        file("llama"),
        file("bert"),
        file("mistral"),
        file("qwen2"),
        ("sentencepiece", sentencepiece().tokenizer().unwrap()),
    ]
}
