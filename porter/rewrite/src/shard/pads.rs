//! What makes a model divide over a mesh.

use porter_ir::LogicalAxis;

use super::Shard;
use crate::{PadHeads, PadIntermediate, PadVocab, Rewrite};

impl Shard {
    /// The rewrites after which heads, feed-forward layers and the vocabulary divide over the mesh. They come
    /// before the layout, and leave alone what divides as it is.
    pub fn pads(&self) -> [Box<dyn Rewrite>; 3] {
        [
            Box::new(PadHeads { tensor: self.parts("kv_heads") }),
            Box::new(PadIntermediate { tensor: self.parts("mlp") }),
            Box::new(PadVocab { tensor: self.parts("vocab") }),
        ]
    }

    /// Over how many devices the tables divide a logical axis of weights, which is the same in all of them.
    fn parts(&self, axis: &'static str) -> usize {
        let rules = &self.tables.decode;
        let over = rules.mesh_axes(&LogicalAxis::new(axis), &self.mesh).unwrap_or_default();
        over.into_iter().map(|axis| self.mesh.size(axis).unwrap_or(1)).product()
    }
}
