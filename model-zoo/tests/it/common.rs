//! The fixtures that several test files read.

use std::{fs, path::PathBuf};

use porter_zoo::Model;
use serde_json::Value;

/// The fixture models of `ci/fixtures/tiny`.
pub(crate) const MODELS: [&str; 14] = [
    "llama",
    "llama_bf16",
    "llama_f16",
    "llama_sharded",
    "llama_long",
    "llama_yarn",
    "mistral",
    "mistral_window",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "mixtral",
    "bert",
    "bert_cls",
];

/// The GGUF files of the model `llama`.
pub(crate) const GGUFS: [&str; 3] = ["llama_open_F32.gguf", "llama_open_F16.gguf", "llama_open_Q8_0.gguf"];

/// A fixture model's folder.
pub(crate) fn folder(model: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/fixtures/tiny")).join(model)
}

/// A fixture GGUF file.
pub(crate) fn gguf(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/fixtures/gguf")).join(file)
}

/// A JSON file below the fixtures.
pub(crate) fn config(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder(file)).unwrap()).unwrap()
}

/// A fixture model.
pub(crate) fn model(name: &str) -> Model {
    Model::from_hf(&config(&format!("{name}/config.json")), &[]).unwrap()
}
