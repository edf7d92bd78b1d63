//! GGUF, as llama.cpp's converter writes it: one file with the configuration and the tokenizer in it.

use std::fs;

use porter_text::{GgufVocabulary, HfTokenizer};
use porter_weights::{Checkpoint, Encoding, Format as Stored, Metadata, Value, write::gguf};
use porter_zoo::Model;

use super::{Planned, Quantise, Request, Unconverted, most_common_float};
use crate::PipelineError;

pub(super) fn plan(source: &Unconverted, request: &Request) -> Result<Planned, PipelineError> {
    let checkpoint = &*source.checkpoint;
    let model = source.model()?;
    let mut contents = model.to_gguf(checkpoint, &encoding(checkpoint, request))?;
    contents.metadata.insert("general.name", Value::String(source.files.name.clone()));
    let mut notes = checkpoint.notes().to_vec();
    match vocabulary(source, &model)? {
        Some(keys) => keys.iter().for_each(|(key, value)| {
            contents.metadata.insert(key, value.clone());
        }),
        None => notes.push("there is no tokenizer.json, so the GGUF has no tokenizer".to_owned()),
    }
    let options = gguf::GgufOptions { stem: request.stem.clone(), max_shard_bytes: request.max_shard_bytes };
    Ok(Planned { layout: gguf::plan(contents, &options)?, notes })
}

/// What matrices are stored as: what was asked for, or what most of them are.
fn encoding(checkpoint: &dyn Checkpoint, request: &Request) -> Encoding {
    match (request.quantise, request.dtype) {
        (Some(Quantise::Block(block)), _) => Encoding::Block(block),
        (_, Some(dtype)) => Encoding::Plain(dtype),
        (_, None) => Encoding::Plain(most_common_float(checkpoint)),
    }
}

/// The `tokenizer.*` keys.
fn vocabulary(source: &Unconverted, model: &Model) -> Result<Option<Metadata>, PipelineError> {
    if let Stored::Gguf { .. } = source.checkpoint.format() {
        let mut keys = Metadata::default();
        for (key, value) in
            source.checkpoint.metadata().iter().filter(|(key, _)| key.starts_with("tokenizer."))
        {
            keys.insert(key, value.clone());
        }
        return Ok(Some(keys));
    }
    let Some(path) = &source.files.tokenizer else { return Ok(None) };
    let failed = |source| PipelineError::File { doing: "read", path: path.clone(), source };
    let json = fs::read(path).map_err(failed)?;
    let template = source.files.chat_template.as_ref();
    let template = template.map(fs::read_to_string).transpose().map_err(failed)?;
    let tokenizer = HfTokenizer {
        json: &json,
        origin: &path.display().to_string(),
        config: source.files.tokenizer_config.as_ref().map(|config| &config.value),
        chat_template: template.as_deref(),
    };
    let vocabulary = GgufVocabulary::from_hf(&tokenizer, model.dimensions().vocab_size)?;
    Ok(Some(vocabulary.metadata()))
}
