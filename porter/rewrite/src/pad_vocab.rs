//! # A vocabulary that divides over the mesh
//!
//! **What.** The rows of the head and of the embedding table, and what else has a number for each token, become a
//! multiple of the devices that they are divided over. Logits are cut back to the vocabulary.
//!
//! **Why on TPU.** A dimension that does not divide is replicated: GPT-2's head over 8 devices takes 393 MiB on each
//! as 50257 rows and 49 MiB as 50264, and eight times less to read (`facts/aot.md` part 3). On one device padding
//! gains nothing: the compiler stores such a table unpadded.
//!
//! **Before and after.** `logits = x·W[vocab, in]ᵀ` becomes `logits = (x·W'ᵀ)[.., 0:vocab]`, `W'` being `W` and rows of
//! zeros.
//!
//! **Effect on the numbers.** Exact: the logits of padding are cut off before anything sees them, sampling included, and
//! no token looks its rows up.
//!
//! **Undo.** A `Slice`.
//!
//! **Evidence.** docs/rewrites.md, "Padding".

use crate::{Effect, Patch, Port, Rewrite, resize};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct PadVocab {
    /// Devices that the vocabulary is divided over.
    pub tensor: usize,
}

impl Rewrite for PadVocab {
    fn name(&self) -> &'static str {
        "pad_vocab"
    }

    fn propose(&self, port: &Port) -> Patch {
        let patch = Patch::new(self.name(), Effect::Exact, port);
        resize::pad(patch, port, "rows", self.tensor, |program| resize::meaning(program, "vocab"))
    }
}
