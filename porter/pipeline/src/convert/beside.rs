//! The small files beside the weights.

use std::{fs, io::Read, path::Path};

use porter_ir::DType;
use porter_weights::write::OutputFile;
use serde_json::Value;

use super::Unconverted;
use crate::PipelineError;

/// What a model's folder holds beside its weights, as transformers writes it.
const NAMES: [&str; 14] = [
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];
/// A tokenizer of the largest vocabularies has some 35 MB.
const MAX_BYTES: u64 = 256 << 20;

/// What of a config changes with the weights.
pub(super) struct Change {
    /// The type of all floats, if they are of one.
    pub(super) dtype: Option<DType>,
    /// True if what was quantised is numbers now.
    pub(super) numbers: bool,
    /// The new `quantization_config`.
    pub(super) quantised: Option<Value>,
}

/// Those that are there, and config.json as it is after `change`.
pub(super) fn files(source: &Unconverted, change: Change) -> Result<Vec<OutputFile>, PipelineError> {
    let mut files = Vec::new();
    if let Some(config) = &source.files.config {
        let config = changed(config.value.clone(), change);
        files.push(OutputFile::bytes("config.json", format!("{config:#}\n").into_bytes()));
    }
    for name in NAMES {
        let path = source.files.root.join(name);
        if path.is_file() && source.files.config.is_some() {
            files.push(OutputFile::bytes(name, read(&path)?));
        }
    }
    Ok(files)
}

pub(super) fn changed(mut config: Value, change: Change) -> Value {
    const QUANTISED: &str = "quantization_config";
    let Some(keys) = config.as_object_mut() else { return config };
    if change.numbers {
        keys.shift_remove(QUANTISED);
    }
    if let Some(quantised) = change.quantised {
        keys.insert(QUANTISED.to_owned(), quantised);
    }
    let name = match change.dtype {
        Some(DType::F32) => "float32",
        Some(DType::BF16) => "bfloat16",
        Some(DType::F16) => "float16",
        _ => return config,
    };
    for key in ["dtype", "torch_dtype"] {
        if let Some(value) = keys.get_mut(key) {
            *value = name.into();
        }
    }
    config
}

fn read(path: &Path) -> Result<Vec<u8>, PipelineError> {
    let failed = |source| PipelineError::File { doing: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        let what = format!("{} has more than {MAX_BYTES} bytes", path.display());
        return Err(PipelineError::Unsupported(what));
    }
    Ok(bytes)
}
