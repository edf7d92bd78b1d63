//! Weights that a rewrite adds to programs.

use porter_ir::{LogicalAxis, Result, Sharding, TensorType, Value};

use crate::{Site, linear::sharded_weight};

/// An input that holds a weight, what its dimensions mean, and how they lie over a mesh.
#[derive(Clone)]
pub(crate) struct NewWeight {
    pub(crate) name: String,
    pub(crate) ty: TensorType,
    pub(crate) axes: Option<Vec<Option<LogicalAxis>>>,
    pub(crate) sharding: Option<Sharding>,
}

impl NewWeight {
    /// The weight in the new program.
    pub(crate) fn read(&self, site: &Site<'_>) -> Result<Value> {
        let value = sharded_weight(site, &self.name, self.ty.clone(), self.sharding.as_ref())?;
        if let Some(axes) = &self.axes {
            site.b.logical_axes(value, axes)?;
        }
        Ok(value)
    }
}
