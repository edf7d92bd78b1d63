//! What an architecture tells the rest of the crate.

use porter_ir::Program;
use serde_json::{Map, Value};

use crate::{Phase, Precision, ProgramError, blocks::rope::Rope, names::Names};

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Predicts the next token: prefill and decode programs with a cache.
    Generate,
    /// Reads a whole sequence at once: embeddings, classes, masked tokens.
    Encode,
}

/// The sizes of a model that its runner needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Dimensions {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Positions that the model was made for. Encoders have no more; decoders run on, untrained.
    pub max_positions: usize,
    /// The fewest slots that a token of any layer sees, where a layer has a sliding window.
    pub window: Option<usize>,
    /// Positions before the rotary embedding is stretched, where it is.
    pub original_positions: Option<usize>,
}

/// A configured model.
pub(crate) trait Architecture: std::fmt::Debug + Send + Sync {
    /// The Hugging Face class.
    fn class(&self) -> &'static str;
    /// What it is for.
    fn task(&self) -> Task;
    /// Its sizes.
    fn dimensions(&self) -> Dimensions;
    /// Its configuration in the words of `config.json`, every key with its value; `None` where other
    /// formats than Hugging Face's have no form of it.
    fn config(&self) -> Option<Map<String, Value>> {
        None
    }
    /// Its rotary embedding, if it has one.
    fn rope(&self) -> Option<&Rope> {
        None
    }
    /// What checkpoints call its parameters.
    fn names(&self) -> Names;
    /// One of its programs.
    fn program(&self, phase: &Phase, precision: Precision) -> Result<Program, ProgramError>;
}
