//! A model's text side: tokenizer, chat template, stop tokens.

use porter_import::ModelFiles;
use porter_text::{ChatContext, ChatTemplate, GgufVocabulary, Message, StopTokens, Tokenizer};
use porter_weights::{Checkpoint, Format};
use serde_json::{Value, json};

use crate::PipelineError;

/// What turns text into token ids and back for one model.
pub struct TextSide {
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// What ends a text.
    pub stop: StopTokens,
    chat: Option<(ChatTemplate, ChatContext)>,
}

impl TextSide {
    /// Reads the tokenizer and what belongs to it.
    pub fn open(files: &ModelFiles, checkpoint: &dyn Checkpoint) -> Result<Self, PipelineError> {
        match checkpoint.format() {
            Format::Gguf { .. } => Self::from_gguf(checkpoint),
            _ => Self::from_files(files),
        }
    }

    fn from_gguf(checkpoint: &dyn Checkpoint) -> Result<Self, PipelineError> {
        let vocabulary = GgufVocabulary::try_from(checkpoint.metadata())?;
        let origin = "tokenizer.chat_template";
        let template = vocabulary
            .chat_template
            .as_deref()
            .map(|source| ChatTemplate::new(source, origin))
            .transpose()?;
        let token = |id: Option<u32>| id.and_then(|id| vocabulary.tokens.get(id as usize));
        let special = json!({ "bos_token": token(vocabulary.bos), "eos_token": token(vocabulary.eos) });
        Ok(Self {
            tokenizer: vocabulary.tokenizer()?,
            stop: vocabulary.stop_ids().collect(),
            chat: template.map(|t| (t, ChatContext::answering(&special))),
        })
    }

    fn from_files(files: &ModelFiles) -> Result<Self, PipelineError> {
        let path = files.tokenizer.as_deref().ok_or_else(|| {
            PipelineError::Unsupported(format!(
                "{} has no tokenizer.json, so it cannot read text; put it beside the weights, or give token ids \
                 with --input",
                files.root.display()
            ))
        })?;
        let configs = [("generation_config.json", &files.generation_config), ("config.json", &files.config)];
        let configs: Vec<_> =
            configs.iter().filter_map(|(name, file)| Some((*name, &file.as_ref()?.value))).collect();
        let template = match (&files.chat_template, &files.tokenizer_config) {
            (Some(path), _) => Some(ChatTemplate::from_file(path)?),
            (None, Some(config)) => {
                ChatTemplate::from_config(&config.value, &config.path.display().to_string())?
            }
            (None, None) => None,
        };
        let special = files.tokenizer_config.as_ref().map_or(&Value::Null, |c| &c.value);
        Ok(Self {
            tokenizer: Tokenizer::from_file(path)?,
            stop: StopTokens::from_configs(&configs)?,
            chat: template.map(|t| (t, ChatContext::answering(special))),
        })
    }

    /// The ids of `prompt` as it stands, with the special tokens that the model expects around it.
    pub fn encode(&self, prompt: &str) -> Result<Vec<u32>, PipelineError> {
        Ok(self.tokenizer.encode(prompt)?.ids)
    }

    /// The ids of a conversation through the model's chat template, ready for the answer.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, PipelineError> {
        let Some((template, context)) = &self.chat else {
            return Err(PipelineError::Unsupported(
                "the model has no chat template; give the prompt without --chat".into(),
            ));
        };
        let text = template.render(messages, context)?;
        // The template writes the special tokens itself.
        Ok(self.tokenizer.encode_without_special(&text)?.ids)
    }
}
