//! `tokenizer.json` to GGUF metadata and back: the ids stay the recorded ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use porter_text::{ErrorKind, GgufVocabulary, HfTokenizer, TextError, Tokenizer};
use serde_json::{Value, json};

fn from_hf(
    tokenizer: &Value,
    config: Option<&Value>,
    vocab_size: usize,
) -> Result<GgufVocabulary, TextError> {
    let json = serde_json::to_vec(tokenizer).unwrap();
    let hf = HfTokenizer { json: &json, origin: "x/tokenizer.json", config, chat_template: None };
    GgufVocabulary::from_hf(&hf, vocab_size)
}

fn tokenizer_json(model: &str) -> Value {
    common::json(&common::tiny(model).join("tokenizer.json"))
}

/// The ids that transformers recorded.
fn check_cases(model: &str, tokenizer: &Tokenizer) {
    let recorded = common::json(&common::tiny(model).join("tokenizer_cases.json"));
    let cases = recorded["cases"].as_array().unwrap();
    assert!(cases.len() >= 15);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(tokenizer.encode(text).unwrap().ids, ids, "{model}: {text:?}");
        let plain: Vec<u32> = serde_json::from_value(case["ids_no_special"].clone()).unwrap();
        assert_eq!(tokenizer.decode(&plain).unwrap(), case["decoded"].as_str().unwrap(), "{model}");
    }
}

#[test]
fn byte_level_tokenizers_go_there_and_back() {
    for (model, pre, bos) in
        [("llama", "llama-bpe", true), ("qwen2", "qwen2", false), ("qwen3", "qwen2", false)]
    {
        let config = common::json(&common::tiny(model).join("tokenizer_config.json"));
        let vocabulary = from_hf(&tokenizer_json(model), Some(&config), 997).unwrap();
        assert_eq!((vocabulary.pre.as_deref(), vocabulary.add_bos), (Some(pre), Some(bos)));
        assert_eq!(vocabulary.add_eos, Some(false));
        let by_hand = common::gguf_of(model, pre);
        let listed = by_hand.tokens.len();
        assert_eq!(vocabulary.tokens[..listed], by_hand.tokens);
        assert_eq!(vocabulary.token_types[..listed], by_hand.token_types);
        assert_eq!(vocabulary.merges, by_hand.merges);
        assert_eq!(vocabulary.tokens[996], "[PAD996]");
        assert_eq!(vocabulary.token_types[996], 5);
        let token = |key: &str| config[key].as_str().unwrap().to_owned();
        assert_eq!(vocabulary.tokens[vocabulary.eos.unwrap() as usize], token("eos_token"));
        assert_eq!(vocabulary.tokens[vocabulary.pad.unwrap() as usize], token("pad_token"));

        let read = GgufVocabulary::try_from(&vocabulary.metadata()).unwrap();
        assert_eq!(read, vocabulary);
        check_cases(model, &read.tokenizer().unwrap());
        let back = read.to_hf().unwrap();
        check_cases(model, &Tokenizer::from_json(back.tokenizer.as_bytes(), "back").unwrap());
        for key in ["bos_token", "eos_token", "pad_token"] {
            assert_eq!(back.config.get(key), config.get(key), "{model}: {key}");
        }
        assert_eq!(back.ids["eos_token_id"], json!(vocabulary.eos));
    }
}

#[test]
fn rules_are_known_by_their_steps() {
    let digits = json!({"type": "Digits", "individual_digits": true});
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": true});
    let mut tokenizer = tokenizer_json("qwen2");
    tokenizer["normalizer"] = Value::Null;
    tokenizer["pre_tokenizer"] = bytes.clone();
    assert_eq!(from_hf(&tokenizer, None, 997).unwrap().pre.as_deref(), Some("gpt-2"));
    tokenizer["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [digits, bytes]});
    assert_eq!(from_hf(&tokenizer, None, 997).unwrap().pre.as_deref(), Some("smollm"));
}

#[test]
fn sentencepiece_goes_there_and_back() {
    let recorded = common::data("sentencepiece.json");
    let original = common::sentencepiece();
    let hf = original.to_hf().unwrap();
    let json: Value = serde_json::from_str(&hf.tokenizer).unwrap();
    let vocabulary = from_hf(&json, Some(&Value::Object(hf.config)), original.tokens.len()).unwrap();
    assert_eq!(vocabulary.model, "llama");
    assert_eq!((vocabulary.add_space_prefix, vocabulary.add_bos), (Some(true), Some(true)));
    assert_eq!(vocabulary.token_types, original.token_types);
    assert_ne!(vocabulary.scores, original.scores, "only their order is known");
    let tokenizer = GgufVocabulary::try_from(&vocabulary.metadata()).unwrap().tokenizer().unwrap();
    for case in recorded["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(tokenizer.encode_without_special(text).unwrap().ids, ids, "{text:?}");
    }

    // A token whose merge is not listed.
    let mut shorter = json;
    shorter["model"]["merges"].as_array_mut().unwrap().pop();
    let message = from_hf(&shorter, None, original.tokens.len()).unwrap_err().to_string();
    assert!(message.starts_with("model.merges is `"), "{message}");
}

fn failure(tokenizer: &Value, vocab_size: usize) -> (ErrorKind, String) {
    let error = from_hf(tokenizer, None, vocab_size).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn what_gguf_cannot_say_is_refused_by_name() {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut tokenizer = tokenizer_json("qwen2");
        change(&mut tokenizer);
        failure(&tokenizer, 997)
    };
    let refused = |(kind, message): (ErrorKind, String), part: &str| {
        assert_eq!(kind, ErrorKind::Unsupported, "{message}");
        assert!(message.contains(part), "{message}");
    };
    refused(failure(&tokenizer_json("mistral"), 997), "model is `{\"type\":\"Unigram\"");
    refused(failure(&tokenizer_json("bert"), 2000), "\"type\":\"WordPiece\"");
    refused(
        changed(&|t| t["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = json!("\\p{N}{2}|.")),
        "pre_tokenizer is `{",
    );
    refused(changed(&|t| t["model"]["ignore_merges"] = json!(true)), "pre_tokenizer is `{");
    refused(changed(&|t| t["normalizer"] = json!({"type": "NFKC"})), "normalizer is `{\"type\":\"NFKC\"}`");
    refused(changed(&|t| t["added_tokens"][1]["lstrip"] = json!(true)), "added_tokens is `{");
    refused(changed(&|t| t["model"]["end_of_word_suffix"] = json!("</w>")), "end_of_word_suffix");

    let (kind, message) = failure(&tokenizer_json("qwen2"), 500);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(message.contains("and the model has 500 ids"), "{message}");
    let around = json!({
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|pad|>", "type_id": 0}},
            {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            "<|pad|>": {"id": "<|pad|>", "ids": [0], "tokens": ["<|pad|>"]},
            "<|im_start|>": {"id": "<|im_start|>", "ids": [2], "tokens": ["<|im_start|>"]},
        },
    });
    let (_, message) = changed(&|t| t["post_processor"] = around.clone());
    assert!(message.contains("[0, 2] and [] stand around a text"), "{message}");
}
