//! What makes a model divide over a mesh.

use porter_ir::{LogicalAxis, OpError};

use super::Shard;
use crate::{Applied, PadExperts, PadHeads, PadIntermediate, PadVocab, Port, apply};

/// Over how many devices heads, feed-forward layers, the vocabulary and experts are divided: what they are padded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pads {
    kv_heads: usize,
    mlp: usize,
    vocab: usize,
    experts: usize,
}

impl Shard {
    /// The pads after which a model divides over the mesh.
    pub fn pads(&self) -> Pads {
        Pads {
            kv_heads: self.parts("kv_heads"),
            mlp: self.parts("mlp"),
            vocab: self.parts("vocab"),
            experts: self.parts("exp"),
        }
    }

    /// Over how many devices the tables divide a logical axis of weights, which is the same in all of them.
    fn parts(&self, axis: &'static str) -> usize {
        let rules = &self.tables.decode;
        let over = rules.mesh_axes(&LogicalAxis::new(axis), &self.mesh).unwrap_or_default();
        over.into_iter().map(|axis| self.mesh.size(axis).unwrap_or(1)).product()
    }
}

impl Pads {
    /// The port with everything padded that does not divide as it is, and what was. It comes before the layout.
    pub fn apply(self, port: Port) -> Result<(Port, Vec<Applied>), OpError> {
        let heads = PadHeads { tensor: self.kv_heads };
        let intermediate = PadIntermediate { tensor: self.mlp };
        let vocab = PadVocab { tensor: self.vocab };
        let experts = PadExperts { expert: self.experts };
        apply(&[&heads, &intermediate, &vocab, &experts], port)
    }
}
