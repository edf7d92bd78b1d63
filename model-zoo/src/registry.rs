//! Which architectures there are.

use crate::{
    architecture::Architecture, bert::Bert, config::Reader, llama::Llama, mistral::Mistral, mixtral::Mixtral,
    qwen2::Qwen2, qwen3::Qwen3, qwen3_moe::Qwen3Moe,
};

/// An architecture's entry.
pub(crate) struct Entry {
    /// The Hugging Face class, as in `architectures` of a config.
    pub(crate) class: &'static str,
    /// Its `model_type`. The first entry of a type is taken for configs that name no class.
    pub(crate) model_type: &'static str,
    /// Its `general.architecture` in GGUF. Files are read as the first entry of one.
    pub(crate) gguf: Option<&'static str>,
    /// Reads its configuration.
    pub(crate) read: fn(&mut Reader<'_>) -> Box<dyn Architecture>,
}

/// Every architecture: one line each.
#[rustfmt::skip]
pub(crate) const REGISTRY: &[Entry] = &[
    Entry { class: "LlamaForCausalLM", model_type: "llama", gguf: Some("llama"), read: |r| Box::new(Llama::read(r)) },
    Entry { class: "MistralForCausalLM", model_type: "mistral", gguf: Some("llama"), read: |r| Box::new(Mistral::read(r)) },
    Entry { class: "MixtralForCausalLM", model_type: "mixtral", gguf: None, read: |r| Box::new(Mixtral::read(r)) },
    Entry { class: "Qwen2ForCausalLM", model_type: "qwen2", gguf: Some("qwen2"), read: |r| Box::new(Qwen2::read(r)) },
    Entry { class: "Qwen3ForCausalLM", model_type: "qwen3", gguf: Some("qwen3"), read: |r| Box::new(Qwen3::read(r)) },
    Entry { class: "Qwen3MoeForCausalLM", model_type: "qwen3_moe", gguf: None, read: |r| Box::new(Qwen3Moe::read(r)) },
    Entry { class: "BertModel", model_type: "bert", gguf: None, read: |r| Box::new(Bert::read_model(r)) },
    Entry { class: "BertForMaskedLM", model_type: "bert", gguf: None, read: |r| Box::new(Bert::read_masked_lm(r)) },
    Entry { class: "BertForSequenceClassification", model_type: "bert", gguf: None, read: |r| Box::new(Bert::read_classifier(r)) },
];
