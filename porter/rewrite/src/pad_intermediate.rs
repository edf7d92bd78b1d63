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

use porter_ir::{InputRole, Program};

use crate::{
    Effect, Patch, Port, Rewrite,
    resize::{self, Factor, Kind, Seed},
};

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
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        for (at, program) in port.programs.iter().enumerate() {
            let seeds = seeds(program, self.tensor);
            let Some(factor) = seeds.first().and_then(|seed| seed.factors.first().copied()) else { continue };
            let Factor { old, new, .. } = factor;
            patch.reason = format!("{old} numbers do not divide over {} devices: {new}", self.tensor);
            if let Err(problem) = resize::add(&mut patch, port, at, &seeds) {
                let mut none = Patch::new(self.name(), Effect::Neutral, port);
                none.reason = format!("left alone: {problem}");
                return none;
            }
        }
        patch
    }
}

fn seeds(program: &Program, tensor: usize) -> Vec<Seed> {
    let inner = program.inputs().iter().filter(|input| {
        input.role == InputRole::Weight && INNER.iter().any(|name| input.name.ends_with(name))
    });
    let seeds = inner.filter_map(|input| {
        let old = program.ty(input.value).shape.first().copied()?;
        let new = old.next_multiple_of(tensor.max(1));
        let factors = vec![Factor { kind: Kind::Padded, old, new }];
        (new > old).then_some(Seed { value: input.value, dim: 0, factors })
    });
    seeds.collect()
}
