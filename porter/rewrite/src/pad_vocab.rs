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

use porter_ir::{InputRole, Program};

use crate::{
    Effect, Patch, Port, Rewrite,
    resize::{self, Factor, Kind, Seed},
};

/// The logical axis of token ids in weights.
const VOCAB: &str = "vocab";

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
        let mut patch = Patch::new(self.name(), Effect::Exact, port);
        let mut rows = Vec::new();
        for (at, program) in port.programs.iter().enumerate() {
            let seeds = seeds(program, self.tensor);
            let Some(factor) = seeds.first().and_then(|seed| seed.factors.first()) else { continue };
            rows.push((factor.old, factor.new));
            if let Err(problem) = resize::add(&mut patch, port, at, &seeds) {
                let mut none = Patch::new(self.name(), Effect::Exact, port);
                none.reason = format!("left alone: {problem}");
                return none;
            }
        }
        if let Some((old, new)) = rows.first() {
            patch.reason = format!("{old} rows do not divide over {} devices: {new}", self.tensor);
        }
        patch
    }
}

/// The dimensions of weights that are the vocabulary, where they are to be padded.
fn seeds(program: &Program, tensor: usize) -> Vec<Seed> {
    let weights = program.inputs().iter().filter(|input| input.role == InputRole::Weight);
    let named = weights.flat_map(|input| {
        let axes = program.value(input.value).axes.iter().flatten().enumerate();
        let vocab = axes.filter(|(_, axis)| axis.as_ref().is_some_and(|axis| axis.name == VOCAB));
        vocab.map(|(dim, _)| (input.value, dim))
    });
    let padded = named.filter_map(|(value, dim)| {
        let old = program.ty(value).shape.get(dim).copied()?;
        let factor = Factor { kind: Kind::Padded, old, new: old.next_multiple_of(tensor.max(1)) };
        (factor.new > old).then(|| Seed { value, dim, factors: vec![factor] })
    });
    padded.collect()
}
