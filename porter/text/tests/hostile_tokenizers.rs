//! Damaged `tokenizer.json` files and GGUF metadata of the wrong types are errors, never panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use porter_text::{ErrorKind, GgufVocabulary, TextError, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every place in a JSON value, as pointers.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut visit = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{at}/{key}");
        found.push(pointer.clone());
        pointers(value, &pointer, found);
    };
    match value {
        Value::Object(map) => map.iter().take(40).for_each(|(key, value)| visit(key, value)),
        Value::Array(list) => {
            list.iter().take(6).enumerate().for_each(|(index, value)| visit(&index.to_string(), value));
        }
        _ => {}
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!("")),
        Just(json!("日")),
        Just(json!("(")),
        Just(json!([])),
        Just(json!({})),
        Just(json!(true)),
        Just(json!(-1)),
        Just(json!(0)),
        Just(json!(4_294_967_295_u64)),
        Just(json!(u64::MAX)),
        Just(json!(1.5)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_value_may_be_replaced(
        model in prop::sample::select(vec!["llama", "bert", "mistral", "qwen2"]),
        place in any::<prop::sample::Index>(),
        value in replacement(),
    ) {
        let mut json = common::json(&common::tiny(model).join("tokenizer.json"));
        let mut places = Vec::new();
        pointers(&json, "", &mut places);
        *json.pointer_mut(&places[place.index(places.len())]).unwrap() = value;
        if let Ok(tokenizer) = Tokenizer::from_json(json.to_string().as_bytes(), "t")
            && let Ok(encoding) = tokenizer.encode("Hello, <s> wörld 123!\n[MASK]")
        {
            let _ = tokenizer.decode(&encoding.ids);
        }
    }

    #[test]
    fn a_file_may_end_anywhere(end in any::<prop::sample::Index>()) {
        let json = fs::read(common::tiny("bert").join("tokenizer.json")).unwrap();
        let json = json.trim_ascii_end();
        prop_assert!(Tokenizer::from_json(&json[..end.index(json.len())], "t").is_err());
    }
}

/// Places where the tokenizers crate itself would panic.
#[test]
fn known_panics_are_errors_that_name_the_place() {
    for (place, value, part) in [
        ("/post_processor/special_tokens", json!({}), "post_processor uses the special token \"[CLS]\""),
        ("/post_processor/single/1/Sequence/id", json!("B"), "post_processor uses a second text"),
        ("/normalizer", json!(true), "normalizer is not an object with a type"),
        ("/decoder", json!(3), "decoder is not an object with a type"),
    ] {
        let mut json = common::json(&common::tiny("bert").join("tokenizer.json"));
        *json.pointer_mut(place).unwrap() = value;
        let error = Tokenizer::from_json(json.to_string().as_bytes(), "t").unwrap_err();
        assert!(error.to_string().contains(part), "{place}: {error}");
    }
}

/// A GGUF v3 file of metadata alone; each value comes with its type number and bytes.
fn gguf(entries: &[(&str, u32, Vec<u8>)]) -> Result<GgufVocabulary, TextError> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend((entries.len() as u64 + 1).to_le_bytes());
    bytes.extend([text("general.architecture"), STRING.to_le_bytes().to_vec(), text("llama")].concat());
    for (key, kind, value) in entries {
        bytes.extend([text(key), kind.to_le_bytes().to_vec(), value.clone()].concat());
    }
    let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    fs::write(file.path(), bytes).unwrap();
    GgufVocabulary::try_from(porter_weights::open(file.path()).unwrap().metadata())
}

const U32: u32 = 4;
const I32: u32 = 5;
const F32: u32 = 6;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

fn array(kind: u32, items: &[Vec<u8>]) -> Vec<u8> {
    [kind.to_le_bytes().to_vec(), (items.len() as u64).to_le_bytes().to_vec(), items.concat()].concat()
}

fn entries() -> Vec<(&'static str, u32, Vec<u8>)> {
    let tokens = [string("a"), string("b")];
    vec![
        ("tokenizer.ggml.model", STRING, string("gpt2")),
        ("tokenizer.ggml.tokens", ARRAY, array(STRING, &tokens)),
        ("tokenizer.ggml.token_type", ARRAY, array(I32, &[vec![1, 0, 0, 0], vec![3, 0, 0, 0]])),
        ("tokenizer.ggml.scores", ARRAY, array(F32, &[vec![0; 4], vec![0; 4]])),
        ("tokenizer.ggml.eos_token_id", U32, vec![1, 0, 0, 0]),
        ("tokenizer.ggml.add_bos_token", BOOL, vec![1]),
        ("tokenizer.chat_template", STRING, string("{{ x }}")),
    ]
}

#[test]
fn metadata_is_taken_by_key() {
    let expected = GgufVocabulary {
        model: "gpt2".to_owned(),
        tokens: vec!["a".to_owned(), "b".to_owned()],
        token_types: vec![1, 3],
        scores: vec![0.0, 0.0],
        eos: Some(1),
        add_bos: Some(true),
        chat_template: Some("{{ x }}".to_owned()),
        ..GgufVocabulary::default()
    };
    assert_eq!(gguf(&entries()).unwrap(), expected);
}

#[test]
fn metadata_of_the_wrong_type_is_an_error_with_its_key() {
    for (index, (key, _, _)) in entries().into_iter().enumerate() {
        let mut entries = entries();
        entries[index] = (key, F32, vec![0; 4]);
        let error = gguf(&entries).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().starts_with(&format!("{key}: found F32(0.0), expected")), "{error}");
    }
    let error = gguf(&entries()[..1]).unwrap_err();
    assert_eq!(error.to_string(), "tokenizer.ggml.tokens: found nothing, expected an array of texts");
}
