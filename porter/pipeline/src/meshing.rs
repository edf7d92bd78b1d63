//! Which mesh a model is laid out over.

use porter_ir::Mesh;
use porter_rewrite::{Applied, Port, Shard, Tables};

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
    /// How `port` lies over `devices`, padded where it would not divide; nothing where it is one device. Of the
    /// meshes that may be taken, one that needs no padding is preferred.
    pub fn shard(&self, port: Port, devices: usize) -> Result<Option<Laid>, PipelineError> {
        let shards = self.shards(devices)?;
        if shards.is_empty() {
            return Ok(None);
        }
        if let Some(shard) = shards.iter().find(|shard| shard.layouts(&port).is_ok()) {
            return Ok(Some(Laid { shard: shard.clone(), port, pads: Vec::new() }));
        }
        let mut refused = None;
        for shard in shards {
            let (padded, pads) = shard.pads().apply(port.clone())?;
            match shard.layouts(&padded) {
                Ok(_) => return Ok(Some(Laid { shard, port: padded, pads })),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        refused.map_or(Ok(None), |error| Err(error.into()))
    }

    /// The meshes that may be taken, best first.
    fn shards(&self, devices: usize) -> Result<Vec<Shard>, PipelineError> {
        let over = |mesh: Mesh| Shard { mesh, tables: self.tables.clone() };
        match &self.mesh {
            Some(mesh) => {
                check_devices(mesh, devices)?;
                Ok(vec![over(mesh.clone())])
            }
            None if devices <= 1 => Ok(Vec::new()),
            None => {
                let tensor = (1..=devices).rev().filter(|tensor| devices.is_multiple_of(*tensor));
                Ok(tensor.map(|tensor| over(data_and_tensor(devices, tensor))).collect())
            }
        }
    }
}

/// A port and how it lies over devices.
pub struct Laid {
    /// How it lies.
    pub shard: Shard,
    /// The port, of which everything divides.
    pub port: Port,
    /// What was padded for that.
    pub pads: Vec<Applied>,
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
