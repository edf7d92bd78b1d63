//! The small files beside the weights.

use std::{fs, io::Read, path::Path};

use porter_import::ModelFiles;
use porter_ir::DType;
use porter_text::GgufVocabulary;
use porter_weights::{Checkpoint, Format, write::OutputFile};
use serde_json::{Map, Value};

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
pub(crate) struct Change {
    /// The type of all floats, if they are of one.
    pub(crate) dtype: Option<DType>,
    /// True if what was quantised is numbers now.
    pub(crate) numbers: bool,
    /// The new `quantization_config`.
    pub(crate) quantised: Option<Value>,
}

/// Whose files they are.
pub(crate) struct Beside<'a> {
    /// Where they lie.
    pub(crate) files: &'a ModelFiles,
    /// The weights that they are beside.
    pub(crate) checkpoint: &'a dyn Checkpoint,
    /// The config.json of weights in a type, where there is no such file.
    pub(crate) config: &'a dyn Fn(DType) -> Result<Map<String, Value>, PipelineError>,
}

impl Beside<'_> {
    /// Those that are there, and config.json as it is after `change`.
    pub(crate) fn files(&self, change: Change) -> Result<Vec<OutputFile>, PipelineError> {
        if let Format::Gguf { .. } = self.checkpoint.format() {
            return from_gguf(self, change);
        }
        in_folder(self.files, change)
    }
}

fn in_folder(source: &ModelFiles, change: Change) -> Result<Vec<OutputFile>, PipelineError> {
    let mut files = Vec::new();
    if let Some(config) = &source.config {
        let config = changed(config.value.clone(), change);
        files.push(OutputFile::bytes("config.json", format!("{config:#}\n").into_bytes()));
    }
    for name in NAMES {
        let path = source.root.join(name);
        if path.is_file() && source.config.is_some() {
            files.push(OutputFile::bytes(name, read(&path)?));
        }
    }
    Ok(files)
}

/// The files beside the weights that a GGUF holds itself: the configuration and the tokenizer.
fn from_gguf(source: &Beside<'_>, change: Change) -> Result<Vec<OutputFile>, PipelineError> {
    let dtype = change.dtype.unwrap_or_else(|| super::most_common_float(source.checkpoint));
    let mut files = Vec::new();
    let pretty = |keys: Map<String, Value>| format!("{:#}\n", Value::Object(keys)).into_bytes();
    let mut config = (source.config)(dtype)?;
    if source.checkpoint.metadata().get("tokenizer.ggml.model").is_some() {
        let tokenizer = GgufVocabulary::try_from(source.checkpoint.metadata())?.to_hf()?;
        config.extend(tokenizer.ids.clone());
        files.push(OutputFile::bytes("tokenizer.json", tokenizer.tokenizer.into_bytes()));
        files.push(OutputFile::bytes("tokenizer_config.json", pretty(tokenizer.config)));
        files.push(OutputFile::bytes("generation_config.json", pretty(tokenizer.ids)));
    }
    let config = changed(Value::Object(config), change);
    files.push(OutputFile::bytes("config.json", format!("{config:#}\n").into_bytes()));
    Ok(files)
}

fn changed(mut config: Value, change: Change) -> Value {
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
