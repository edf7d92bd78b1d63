//! Ties that no longer tie.

use porter_weights::{Checkpoint, Error};

use serde_json::Value;

use super::Unconverted;
use crate::PipelineError;

/// The embedding and the head that `tie_word_embeddings` makes one tensor, as checkpoints name them.
const TIED: [(&str, &str); 2] = [
    ("model.embed_tokens.weight", "lm_head.weight"),
    ("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
];
/// Bytes that are compared at a time.
const STEP: usize = 1 << 20;

/// Refuses a checkpoint whose config ties two tensors that differ: whoever reads the result would take
/// one of them for both.
pub(super) fn check(source: &Unconverted) -> Result<(), PipelineError> {
    let config = source.files.config.as_ref().map(|config| &config.value);
    let ties = config.and_then(|config| config.get("tie_word_embeddings")).and_then(Value::as_bool);
    if ties != Some(true) {
        return Ok(());
    }
    for (embedding, head) in TIED {
        if !same(&*source.checkpoint, embedding, head)? {
            return Err(PipelineError::Unsupported(format!(
                "{}: config.json ties {head:?} to {embedding:?} (tie_word_embeddings), and the two differ; set \
                 tie_word_embeddings to false if the head was trained apart, or remove the one that is wrong",
                source.files.name
            )));
        }
    }
    Ok(())
}

/// True unless both are there and differ.
fn same(checkpoint: &dyn Checkpoint, left: &str, right: &str) -> Result<bool, Error> {
    let tensors = checkpoint.tensors();
    let (Some(a), Some(b)) = (tensors.get(left), tensors.get(right)) else { return Ok(true) };
    if (&a.shape, &a.encoding) != (&b.shape, &b.encoding) {
        return Ok(false);
    }
    if checkpoint
        .ties()
        .iter()
        .any(|tied| tied.iter().any(|name| name == left) && tied.iter().any(|name| name == right))
    {
        return Ok(true);
    }
    let (mut ours, mut theirs) = (vec![0; STEP], vec![0; STEP]);
    for begin in (0..a.bytes).step_by(STEP) {
        let len = STEP.min(a.bytes - begin);
        checkpoint.read_at(left, begin as u64, &mut ours[..len])?;
        checkpoint.read_at(right, begin as u64, &mut theirs[..len])?;
        if ours[..len] != theirs[..len] {
            return Ok(false);
        }
    }
    Ok(true)
}
