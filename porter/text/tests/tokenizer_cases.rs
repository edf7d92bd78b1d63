//! Every recorded case of the tiny models' tokenizers (written by transformers).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use porter_text::Tokenizer;

#[derive(serde::Deserialize)]
struct Cases {
    vocab_size: usize,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    tokens: Vec<String>,
    ids_no_special: Vec<u32>,
    offsets: Vec<(usize, usize)>,
    decoded: String,
}

fn check(model: &str) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/tiny")).join(model);
    let recorded: Cases =
        serde_json::from_slice(&std::fs::read(folder.join("tokenizer_cases.json")).unwrap()).unwrap();
    let tokenizer = Tokenizer::from_file(&folder.join("tokenizer.json")).unwrap();
    assert_eq!(tokenizer.vocabulary_size(), recorded.vocab_size);
    assert_eq!(recorded.cases.len(), 16);
    for case in recorded.cases {
        let text = &case.text;
        let with_special = tokenizer.encode(text).unwrap();
        assert_eq!(with_special.ids, case.ids, "{text:?}");
        assert_eq!(with_special.tokens, case.tokens, "{text:?}");
        let plain = tokenizer.encode_without_special(text).unwrap();
        assert_eq!(plain.ids, case.ids_no_special, "{text:?}");
        assert_eq!(plain.offsets, case.offsets, "{text:?}");
        assert_eq!(tokenizer.decode(&plain.ids).unwrap(), case.decoded, "{text:?}");
    }
}

macro_rules! cases {
    ($($model:ident),*) => { $( #[test] fn $model() { check(stringify!($model)); } )* };
}

cases!(bert, llama, llama_bf16, mistral, qwen2, qwen3);
