//! Which mesh a model is laid out over.

use porter_ir::Mesh;
use porter_rewrite::{Port, Shard, Tables};

use crate::PipelineError;

/// What a user says of the mesh.
#[derive(Clone, Debug)]
pub struct Meshing {
    /// The mesh; where it is none, as many devices as the heads and sizes of the model allow share each tensor
    /// (`tensor`), and groups of them the rows (`data`).
    pub mesh: Option<Mesh>,
    /// What its axes split.
    pub tables: Tables,
}

impl Meshing {
    /// How `port` lies over `devices`; nothing where it is one.
    pub fn shard(&self, port: &Port, devices: usize) -> Result<Option<Shard>, PipelineError> {
        let over = |mesh: Mesh| Shard { mesh, tables: self.tables.clone() };
        match &self.mesh {
            Some(mesh) => {
                check_devices(mesh, devices)?;
                Ok(Some(over(mesh.clone())))
            }
            None if devices <= 1 => Ok(None),
            None => {
                let shard = |tensor| over(data_and_tensor(devices, tensor));
                let tensor = (1..=devices).rev().filter(|tensor| devices.is_multiple_of(*tensor));
                let fitting = tensor.map(shard).find(|shard| shard.layouts(port).is_ok());
                Ok(Some(fitting.unwrap_or_else(|| shard(devices))))
            }
        }
    }
}

/// The axes in which devices share tensors, and groups of `tensor` of them rows. Those that share tensors are
/// next to each other.
fn data_and_tensor(devices: usize, tensor: usize) -> Mesh {
    let axes = [("data", devices / tensor), ("tensor", tensor)];
    let axes = axes.into_iter().filter(|&(_, size)| size > 1);
    Mesh { axes: axes.map(|(name, size)| (name.to_owned(), size)).collect() }
}

/// An error where a mesh has another number of devices.
pub(crate) fn check_devices(mesh: &Mesh, devices: usize) -> Result<(), PipelineError> {
    let found = mesh.devices();
    if found == devices {
        return Ok(());
    }
    Err(PipelineError::Usage(format!(
        "the mesh {mesh} has {found} devices, there are {devices}\nexpected: axes that multiply to {devices}, as \
         tensor={devices}"
    )))
}
