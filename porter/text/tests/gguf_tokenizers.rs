//! Tokenizers built from GGUF metadata give the recorded ids of the same vocabulary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use porter_text::{ErrorKind, GgufVocabulary, Tokenizer};
use serde_json::Value;

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn check_tiny(model: &str, vocabulary: &GgufVocabulary) {
    let tokenizer = vocabulary.tokenizer().unwrap();
    let recorded = common::json(&common::tiny(model).join("tokenizer_cases.json"));
    for case in recorded["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text).unwrap().ids, ids(&case["ids"]), "{text:?}");
        let plain = tokenizer.encode_without_special(text).unwrap();
        assert_eq!(plain.ids, ids(&case["ids_no_special"]), "{text:?}");
        let offsets = serde_json::to_value(&plain.offsets).unwrap();
        assert_eq!(offsets, case["offsets"], "{text:?}");
        assert_eq!(tokenizer.decode(&plain.ids).unwrap(), case["decoded"].as_str().unwrap(), "{text:?}");
    }
}

#[test]
fn llama_bpe_as_transformers() {
    check_tiny("llama", &GgufVocabulary { bos: Some(1), ..common::gguf_of("llama", "llama-bpe") });
}

#[test]
fn qwen2_as_transformers() {
    check_tiny("qwen2", &common::gguf_of("qwen2", "qwen2"));
}

#[test]
fn sentencepiece_as_sentencepiece() {
    let vocabulary = common::sentencepiece();
    let tokenizer = vocabulary.tokenizer().unwrap();
    let recorded = common::data("sentencepiece.json");
    let cases = recorded["cases"].as_array().unwrap();
    assert!(cases.len() >= 15);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let expected = ids(&case["ids"]);
        let plain = tokenizer.encode_without_special(text).unwrap();
        assert_eq!(plain.ids, expected, "{text:?}: {:?}", plain.tokens);
        assert_eq!(tokenizer.encode(text).unwrap().ids, [&[1], expected.as_slice()].concat(), "{text:?}");
        assert_eq!(tokenizer.decode(&expected).unwrap(), case["decoded"].as_str().unwrap(), "{text:?}");
    }
}

/// The same vocabulary splits numbers as each rule says.
#[test]
fn pre_tokenizers_split_differently() {
    let pieces = |pre: &str| -> Vec<String> {
        let vocabulary = GgufVocabulary {
            merges: ["1 2", "12 3", "123 123", "Ġ 1"].map(str::to_owned).to_vec(),
            tokens: ["1", "2", "3", "12", "123", "123123", "Ġ", "Ġ1"].map(str::to_owned).to_vec(),
            ..common::gguf_of("llama", pre)
        };
        let vocabulary = GgufVocabulary { token_types: Vec::new(), ..vocabulary };
        vocabulary.tokenizer().unwrap().encode_without_special(" 123123").unwrap().tokens
    };
    assert_eq!(pieces("smollm"), ["Ġ", "1", "2", "3", "1", "2", "3"]);
    assert_eq!(pieces("qwen2"), ["Ġ", "1", "2", "3", "1", "2", "3"]);
    assert_eq!(pieces("llama-bpe"), ["Ġ", "123", "123"]);
    assert_eq!(pieces("gpt-2"), ["Ġ", "123123"]);
    assert_eq!(pieces("default"), ["Ġ", "123", "123"]);
}

fn failure(vocabulary: &GgufVocabulary) -> (ErrorKind, String) {
    let error = vocabulary.tokenizer().unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn unknown_kinds_are_refused_by_name() {
    let good = common::gguf_of("llama", "llama-bpe");
    let (kind, message) = failure(&GgufVocabulary { pre: Some("viking".to_owned()), ..good.clone() });
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("`viking`") && message.contains("`smollm`"), "{message}");
    let (kind, message) = failure(&GgufVocabulary { model: "rwkv".to_owned(), ..good.clone() });
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("`rwkv`"), "{message}");
    assert_eq!(failure(&GgufVocabulary { pre: None, ..good }).0, ErrorKind::Unsupported);
}

#[test]
fn parts_that_do_not_fit_are_errors() {
    let good = common::gguf_of("llama", "llama-bpe");
    let twice = [good.tokens.clone(), vec!["the".to_owned(), "the".to_owned()]].concat();
    let wrong = [
        (
            "no entries",
            GgufVocabulary { tokens: Vec::new(), token_types: Vec::new(), ..good.clone() },
            "0 entries",
        ),
        (
            "short types",
            GgufVocabulary { token_types: vec![1, 1], ..good.clone() },
            "token_type has 2 entries",
        ),
        ("bos", GgufVocabulary { bos: Some(1_000_000), ..good.clone() }, "bos_token_id is 1000000"),
        (
            "twice",
            GgufVocabulary { tokens: twice, token_types: Vec::new(), ..good.clone() },
            "are both \"the\"",
        ),
        ("merge", GgufVocabulary { merges: vec!["ab".to_owned()], ..good.clone() }, "holds \"ab\""),
        ("unknown merge", GgufVocabulary { merges: vec!["日 本".to_owned()], ..good.clone() }, "日"),
        ("no bos", GgufVocabulary { add_bos: Some(true), ..good }, "there is no bos_token_id"),
        ("no scores", GgufVocabulary { scores: Vec::new(), ..common::sentencepiece() }, "scores is missing"),
        ("nan", GgufVocabulary { scores: vec![f32::NAN; 420], ..common::sentencepiece() }, "scores[0]"),
    ];
    for (name, vocabulary, part) in wrong {
        let (kind, message) = failure(&vocabulary);
        assert_eq!(kind, ErrorKind::Corrupt, "{name}");
        assert!(message.contains(part), "{name}: {message}");
    }
}

#[test]
fn eos_is_added_where_the_file_asks() {
    let vocabulary =
        GgufVocabulary { eos: Some(2), add_eos: Some(true), add_bos: Some(false), ..common::sentencepiece() };
    let tokenizer: Tokenizer = vocabulary.tokenizer().unwrap();
    let ids = tokenizer.encode("the").unwrap().ids;
    assert_eq!(ids.last(), Some(&2));
    assert_ne!(ids.first(), Some(&1));
}
