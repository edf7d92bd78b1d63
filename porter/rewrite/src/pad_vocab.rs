//! # A vocabulary that divides over the mesh
//!
//! **What.** The rows of the head, and of the embedding table where it is the head, become a multiple of the devices
//! that they are divided over. Logits are cut back to the vocabulary.
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

use porter_ir::{Op, Program};

use crate::{
    Effect, Patch, Port, Rewrite,
    linear::linear,
    resize::{self, Factor, Kind, Seed},
};

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
            let Some(seed) = seed(program, self.tensor) else { continue };
            rows.extend(seed.factors.first().map(|factor| (factor.old, factor.new)));
            if let Err(problem) = resize::add(&mut patch, port, at, &[seed]) {
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

/// The rows of the head, where they are to be padded.
fn seed(program: &Program, tensor: usize) -> Option<Seed> {
    let output = program.outputs().iter().find(|output| output.name == "logits")?;
    let head = program.ops().find_map(|(_, data)| {
        let Op::DotGeneral(_) = &data.op else { return None };
        linear(program, data).filter(|_| data.results.contains(&output.value))
    })?;
    let (old, new) = (head.rows, head.rows.next_multiple_of(tensor.max(1)));
    let factors = vec![Factor { kind: Kind::Padded, old, new }];
    (new > old).then_some(Seed { value: head.weight, dim: 0, factors })
}
