//! What is run for one case of a bundle.

use porter_ir::Shape;
use porter_numerics::{Case, Generated};
use porter_zoo::{Phase, Taps, Task};

use crate::{Opened, PipelineError, Sequences, Sizes};

/// What is run for one case.
pub(super) struct Plan<'a> {
    pub(super) case: Case<'a>,
    pub(super) sequences: Sequences,
    pub(super) forward: Phase,
    pub(super) continuation: Option<(Generated<'a>, Sizes)>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(case: Case<'a>, opened: &Opened) -> Result<Self, PipelineError> {
        let mut sequences = Sequences::default();
        for name in case.arguments() {
            let Some(view) = case.input(name)? else { continue };
            let values = view.to_i64().unwrap_or_default();
            sequences.insert(name, Shape::new(view.shape().to_vec()), values);
        }
        let forward = sequences.phase(Taps::HiddenStates)?;
        let continuation = match (opened.model.task(), case.generated()?) {
            (Task::Generate, Some(generated)) => {
                let new = generated.tokens.len();
                let sizes = Sizes::new(1, generated.prompt.len(), new, opened.model.dimensions())?;
                Some((generated, sizes))
            }
            _ => None,
        };
        Ok(Self { case, sequences, forward, continuation })
    }

    pub(super) fn phases(&self) -> impl Iterator<Item = Phase> {
        let cached = self.continuation.as_ref().map(|(_, sizes)| [sizes.prefill(), sizes.decode()]);
        [self.forward].into_iter().chain(cached.into_iter().flatten()).chain(self.chunk())
    }

    /// The phase that reads all tokens of the continuation but the last at once, after the prompt: a
    /// prompt in two chunks. It is not run on greedy tokens, which are one sequence already.
    pub(super) fn chunk(&self) -> Option<Phase> {
        let (recorded, sizes) = self.continuation.as_ref().filter(|(recorded, _)| !recorded.greedy)?;
        let tokens = recorded.tokens.len().checked_sub(1).filter(|&tokens| tokens > 1)?;
        Some(sizes.extend(tokens))
    }
}
