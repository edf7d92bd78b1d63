//! # Experts that divide over the mesh
//!
//! **What.** The experts of a mixture become a multiple of the devices that they are divided over.
//!
//! **Why on TPU.** As of `pad_vocab`: five experts over two devices would lie whole on both.
//!
//! **Before and after.** `gate`, `up`: `[experts, inner, hidden]` and `down: [experts, hidden, inner]` get experts of zeros, and
//! of 8-bit weights the scales do. The router keeps its rows: no token takes an expert that is not there. What `down` sums
//! over is masked on both sides.
//!
//! **Effect on the numbers.** Neutral: zeros are added to the sums of `down`. NaN in the padding reaches nothing
//! (`tests/poison.rs`).
//!
//! **Undo.** A `Slice`.
//!
//! **Evidence.** docs/rewrites.md, "Padding".

use crate::{Effect, Patch, Port, Rewrite, resize};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct PadExperts {
    /// Devices that experts are divided over.
    pub expert: usize,
}

impl Rewrite for PadExperts {
    fn name(&self) -> &'static str {
        "pad_experts"
    }

    fn propose(&self, port: &Port) -> Patch {
        let patch = Patch::new(self.name(), Effect::Neutral, port);
        resize::pad(patch, port, "experts", self.expert, |program| resize::meaning(program, "exp"))
    }
}
