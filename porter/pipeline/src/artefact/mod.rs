//! Ported models as artefacts: a folder of StableHLO programs, their weights in their final form, the
//! tokenizer, and a manifest.
//!
//! [`Port`] is one before it is written, as a [`Layout`](porter_weights::write::Layout) that
//! [`porter_weights::stream`] writes; [`Artefact`] is one that was. [`Ported`] is what both are at work:
//! programs over weights, which run on any plugin and are checked by what they give.
//!
//! ```text
//! manifest.json           what it is, written last
//! programs/NAME.mlir      StableHLO, one program a phase and bucket
//! weights.safetensors     or shards and their index: every weight as the programs take it
//! config.json, tokenizer.json, ...
//! porter-convert.json     the SHA-256 of every file
//! ```

mod back;
mod check;
mod manifest;
mod port;
mod ported;
mod program;

pub(crate) use back::{back, is_one};
pub use manifest::{CheckRecord, Manifest, OutputRecord, RewriteRecord, SourceRecord, Undo, UndoTensor};
pub use port::Port;
pub use ported::{Artefact, Ported};
pub use program::{PhaseRecord, ProgramEntry, SlotRecord};
