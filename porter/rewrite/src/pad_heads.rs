//! # Heads that divide over the mesh
//!
//! **What.** Where attention is divided over `tensor` devices, key-value heads become a multiple of `tensor`: each is
//! repeated where `tensor` is a multiple of their number, and heads of zeros are added where it is not. Query heads
//! are never repeated: those of a key-value head are divided over its copies, with heads of zeros where they do not
//! come out even.
//!
//! **Why on TPU.** A dimension that does not divide is gathered on every device. Llama-3.1-70B has 8 key-value heads:
//! over 16 devices a decode step has 1123 collectives as it is and 163 with each head twice (`facts/aot.md` part 3),
//! for a cache of twice the size.
//!
//! **Before and after.** With `n` key-value heads of `g` query heads and `r = tensor / n`: `q: [n·g·d, in]` becomes
//! `[n·r·⌈g/r⌉·d, in]`, `k`, `v`: `[n·d, in]` become `[n·r·d, in]`, the output projection's columns follow `q`, the
//! cache `k`. The result of a query head of zeros is multiplied by columns of zeros, behind a mask on both sides.
//!
//! **Effect on the numbers.** Neutral: every real head is computed as before, and zeros are added to the output
//! projection's sums. NaN in the padding reaches nothing (`tests/poison.rs`).
//!
//! **Undo.** Repeated heads: one of each. Padding: a `Slice`.
//!
//! **Evidence.** docs/rewrites.md, "Padding".

use porter_ir::{Op, Program};

use crate::{
    Effect, Patch, Port, Rewrite,
    resize::{self, Factor, Kind, Seed},
};

/// The rewrite; see the module's documentation.
#[derive(Clone, Copy, Debug)]
pub struct PadHeads {
    /// Devices that heads are divided over.
    pub tensor: usize,
}

impl Rewrite for PadHeads {
    fn name(&self) -> &'static str {
        "pad_heads"
    }

    fn propose(&self, port: &Port) -> Patch {
        let mut patch = Patch::new(self.name(), Effect::Neutral, port);
        let all: Vec<Vec<Heads>> = port.programs.iter().map(Heads::of).collect();
        let mut changed: Vec<Heads> =
            all.iter().flatten().filter(|h| h.padded(self.tensor) != **h).copied().collect();
        changed.dedup();
        for (at, heads) in all.iter().enumerate().filter(|_| !changed.is_empty()) {
            let seeds = seeds(&port.programs[at], heads, self.tensor);
            if let Err(problem) = resize::add(&mut patch, port, at, &seeds) {
                let mut none = Patch::new(self.name(), Effect::Neutral, port);
                none.reason = format!("left alone: {problem}");
                return none;
            }
        }
        let reasons = changed.iter().map(|heads| heads.reason(self.tensor));
        patch.reason = reasons.collect::<Vec<_>>().join("; ");
        patch
    }
}

/// The heads of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heads {
    kv: usize,
    group: usize,
}

impl Heads {
    /// Those of each attention of a program, in order.
    fn of(program: &Program) -> Vec<Self> {
        attentions(program)
            .map(|operands| {
                let heads = |operand: usize, dim: usize| {
                    operands.get(operand).and_then(|&v| program.ty(v).shape.get(dim).copied()).unwrap_or(1)
                };
                let kv = heads(1, 1);
                Self { kv, group: heads(0, 2) / kv.max(1) }
            })
            .collect()
    }

    /// What they become over `tensor` devices.
    fn padded(self, tensor: usize) -> Self {
        // One key-value head is no dimension that could be told from others of size one.
        if self.kv < 2 || self.kv.is_multiple_of(tensor.max(1)) {
            return self;
        }
        if tensor.is_multiple_of(self.kv) {
            return Self { kv: tensor, group: self.group.div_ceil(tensor / self.kv) };
        }
        Self { kv: self.kv.next_multiple_of(tensor), ..self }
    }

    fn reason(self, tensor: usize) -> String {
        let Self { kv, group } = self.padded(tensor);
        let (before, after) = (self.kv * self.group, kv * group);
        format!(
            "{} key-value heads do not divide over {tensor} devices: {kv} of them, and {after} query heads for {before}",
            self.kv
        )
    }
}

/// The operands of every attention: queries `[batch, tokens, heads, dim]`, keys and values `[batch, kv, slots, dim]`.
fn attentions(program: &Program) -> impl Iterator<Item = &[porter_ir::Value]> {
    program.ops().filter_map(|(_, data)| match &data.op {
        Op::Composite(composite) if composite.name == "porter.attention" => Some(&data.operands[..]),
        _ => None,
    })
}

fn seeds(program: &Program, heads: &[Heads], tensor: usize) -> Vec<Seed> {
    let uneven = attentions(program).zip(heads).filter(|(_, heads)| heads.padded(tensor) != **heads);
    let seeds = uneven.flat_map(|(operands, &old)| {
        let new = old.padded(tensor);
        let kv = Factor { kind: Kind::KvHeads, old: old.kv, new: new.kv };
        let group = Factor { kind: Kind::Group, old: old.group, new: new.group };
        let of = [(0, 2, vec![kv, group]), (1, 1, vec![kv]), (2, 1, vec![kv])];
        of.into_iter()
            .filter_map(|(operand, dim, factors)| Some(Seed { value: *operands.get(operand)?, dim, factors }))
    });
    seeds.collect()
}
