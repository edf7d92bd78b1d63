//! Ported models as artefacts: a folder of StableHLO programs, their weights in their final form, the
//! tokenizer, and a manifest.
//!
//! [`Port`] is one before it is written, as a [`Layout`](porter_weights::write::Layout) that
//! [`porter_weights::stream`] writes; [`Artefact`] is one that was. [`Ported`] is what both are at work:
//! programs over weights, which run on any plugin and are checked by what they give. [`GraphPort`],
//! [`GraphArtefact`] and [`PortedGraph`] are the same for an ONNX graph, which is no model of sequences.
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
mod graph;
mod graph_port;
mod manifest;
mod parts;
mod port;
mod ported;
mod program;

use porter_import::ModelFiles;
use porter_plan::Target;
use porter_weights::Checkpoint;

use crate::ahead::Job;

pub(crate) use back::{back, is_one};
pub use graph::{GraphArtefact, PortedGraph};
pub use graph_port::GraphPort;
pub use manifest::{
    CheckRecord, FixedRecord, GraphRecord, Manifest, OutputRecord, RewriteRecord, SourceRecord, Undo,
    UndoTensor,
};
pub use parts::find;
pub use port::Port;
pub use ported::{Artefact, Ported};
pub use program::{PhaseRecord, ProgramEntry, SlotRecord};

/// What [`find`] finds.
pub enum Found {
    /// A model of the zoo.
    Model(Box<Artefact>),
    /// An ONNX graph.
    Graph(Box<GraphArtefact>),
}

impl Found {
    /// What it is.
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Model(artefact) => &artefact.manifest,
            Self::Graph(artefact) => &artefact.manifest,
        }
    }

    /// Its weights.
    pub fn checkpoint(&self) -> &dyn Checkpoint {
        match self {
            Self::Model(artefact) => &*artefact.checkpoint,
            Self::Graph(artefact) => &*artefact.checkpoint,
        }
    }

    /// Its files.
    pub fn files(&self) -> &ModelFiles {
        match self {
            Self::Model(artefact) => &artefact.files,
            Self::Graph(artefact) => &artefact.files,
        }
    }

    /// The target that it is for.
    pub fn target(&self) -> &Target {
        match self {
            Self::Model(artefact) => &artefact.target,
            Self::Graph(artefact) => &artefact.target,
        }
    }

    /// Its programs, for the TPU compiler.
    pub fn jobs(self) -> Vec<Job> {
        match self {
            Self::Model(artefact) => artefact.jobs(),
            Self::Graph(artefact) => artefact.jobs(),
        }
    }
}
