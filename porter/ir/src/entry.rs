//! What a program takes and gives, without what it computes.

use crate::{InputRole, Mesh, OutputRole, Program, Sharding, TensorType, Value};

/// The interface of a program's `@main`: what a caller of the compiled program has to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The program's name.
    pub name: String,
    /// The devices that it is laid out over; none where it runs on one.
    pub mesh: Option<Mesh>,
    /// What it takes, in order.
    pub inputs: Vec<Slot<InputRole>>,
    /// What it gives, in order.
    pub outputs: Vec<Slot<OutputRole>>,
}

/// An input or an output.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot<Role> {
    /// Its name, unique among the inputs or the outputs.
    pub name: String,
    /// What it is to the caller.
    pub role: Role,
    /// The type of the whole tensor.
    pub ty: TensorType,
    /// How it lies over the mesh.
    pub sharding: Option<Sharding>,
}

impl Entry {
    /// How many devices the program runs on.
    pub fn devices(&self) -> usize {
        self.mesh.as_ref().map_or(1, Mesh::devices)
    }

    /// The type of one device's part of a slot.
    pub fn part_type<Role>(&self, slot: &Slot<Role>) -> TensorType {
        match (&self.mesh, &slot.sharding) {
            (Some(mesh), Some(sharding)) => sharding.part_type(mesh, &slot.ty),
            _ => slot.ty.clone(),
        }
    }
}

impl Program {
    /// What the program takes and gives.
    pub fn entry(&self) -> Entry {
        Entry {
            name: self.name().to_owned(),
            mesh: self.mesh().cloned(),
            inputs: self
                .inputs()
                .iter()
                .map(|i| self.slot(&i.name, i.role, i.value, i.sharding.as_ref()))
                .collect(),
            outputs: self
                .outputs()
                .iter()
                .map(|o| self.slot(&o.name, o.role, o.value, o.sharding.as_ref()))
                .collect(),
        }
    }

    fn slot<Role>(&self, name: &str, role: Role, value: Value, sharding: Option<&Sharding>) -> Slot<Role> {
        Slot { name: name.to_owned(), role, ty: self.ty(value).clone(), sharding: sharding.cloned() }
    }
}
