//! # Feed-forward layers that divide over the mesh
//!
//! **What.** The numbers inside feed-forward layers become a multiple of the devices that they are divided over.
//!
//! **Why on TPU.** As of `pad_vocab`. On one device padding loses 3 to 6 % (`facts/aot.md` part 3), so it is applied
//! to what does not divide only, and to the next multiple, not to tiles.
//!
//! **Before and after.** `gate`, `up`: `[inner, in]` and `down: [out, inner]` get rows and columns of zeros. What `down`
//! sums over is masked on both sides.
//!
//! **Effect on the numbers.** Neutral: zeros are added to the sums of `down`. NaN in the padding reaches nothing
//! (`tests/poison.rs`).
//!
//! **Undo.** A `Slice`.
//!
//! **Evidence.** docs/rewrites.md, "Padding".

use porter_ir::{InputRole, Program, Value};

use crate::{Effect, Patch, Port, Rewrite, resize};

/// Parts of the names of weights whose rows are the numbers inside a feed-forward layer.
const INNER: [&str; 3] = ["mlp.gate_proj.weight", "mlp.up_proj.weight", "intermediate.dense.weight"];

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct PadIntermediate {
    /// Devices that feed-forward layers are divided over.
    pub tensor: usize,
}

impl Rewrite for PadIntermediate {
    fn name(&self) -> &'static str {
        "pad_intermediate"
    }

    fn propose(&self, port: &Port) -> Patch {
        let patch = Patch::new(self.name(), Effect::Neutral, port);
        resize::pad(patch, port, "numbers", self.tensor, inner)
    }
}

/// The rows of the weights that make the numbers inside.
fn inner(program: &Program) -> Vec<(Value, usize)> {
    let inner = program.inputs().iter().filter(|input| {
        input.role == InputRole::Weight && INNER.iter().any(|name| input.name.ends_with(name))
    });
    inner.map(|input| (input.value, 0)).collect()
}
