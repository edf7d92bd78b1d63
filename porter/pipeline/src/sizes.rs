//! The static sizes that a generation runs with.

use porter_zoo::{Dimensions, Phase};

use crate::PipelineError;

/// The smallest prefill program. Shorter prompts are padded to it: fewer programs are compiled, and
/// sixteen rows cost a CPU or an MXU little more than one.
const SMALLEST_BUCKET: usize = 16;

/// The smallest cache.
const SMALLEST_CACHE: usize = 128;

/// Batch, prefill bucket and cache slots of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows.
    pub batch: usize,
    /// Tokens of the prefill program.
    pub bucket: usize,
    /// Slots of the cache.
    pub cache: usize,
}

impl Sizes {
    /// Sizes for `batch` prompts of at most `longest` tokens with `new` tokens after each. They are
    /// rounded up, so that few programs serve all prompts and the compile cache is hit.
    pub fn new(batch: usize, longest: usize, new: usize, model: Dimensions) -> Result<Self, PipelineError> {
        let limit = model.max_positions;
        if longest == 0 {
            return Err(PipelineError::Usage("the prompt is empty: it needs at least one token".into()));
        }
        if longest.saturating_add(new) > limit {
            let advice = match limit.checked_sub(longest) {
                Some(room) if room > 0 => format!("ask for at most {room} with --max-tokens"),
                _ => "shorten the prompt".to_owned(),
            };
            return Err(PipelineError::Usage(format!(
                "context overflow: a prompt of {longest} tokens and {new} new ones exceed the model's \
                 {limit} positions; {advice}"
            )));
        }
        let bucket = longest.next_power_of_two().max(SMALLEST_BUCKET);
        Ok(Self { batch, bucket, cache: cache_slots(bucket + new) })
    }

    /// The phase that reads the prompts.
    pub fn prefill(self) -> Phase {
        Phase::Prefill { batch: self.batch, tokens: self.bucket, cache: self.cache }
    }

    /// The phase that reads `tokens` more tokens a row at once.
    pub fn extend(self, tokens: usize) -> Phase {
        Phase::Extend { batch: self.batch, tokens, cache: self.cache }
    }

    /// The phase that reads one token a row.
    pub fn decode(self) -> Phase {
        Phase::Decode { batch: self.batch, cache: self.cache }
    }
}

/// At least `needed`, in steps of an eighth of the next power of two: attention reads every slot at
/// every step, so that slots which nothing fills cost time.
fn cache_slots(needed: usize) -> usize {
    needed.next_multiple_of((needed.next_power_of_two() / 8).max(SMALLEST_CACHE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: Dimensions = Dimensions {
        vocab_size: 10,
        hidden_size: 4,
        layers: 1,
        heads: 1,
        kv_heads: 1,
        head_dim: 4,
        max_positions: 128,
        window: None,
        original_positions: None,
    };

    #[test]
    fn the_bucket_holds_the_prompt_and_the_cache_holds_both() {
        for (longest, new) in [(1, 1), (16, 112), (17, 24), (100, 28)] {
            let sizes = Sizes::new(1, longest, new, MODEL).unwrap();
            assert!(sizes.bucket >= longest);
            assert!(sizes.cache >= sizes.bucket + new);
        }
    }

    #[test]
    fn an_overflow_says_how_much_room_there_is() {
        let error = Sizes::new(1, 100, 29, MODEL).unwrap_err().to_string();
        assert!(error.contains("ask for at most 28"), "{error}");
        assert!(Sizes::new(1, 0, 1, MODEL).is_err());
    }
}
