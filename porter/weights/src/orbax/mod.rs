//! Orbax checkpoints (<https://orbax.readthedocs.io>) of uncompressed Zarr 3 arrays, as
//! [`write::orbax`](crate::write::orbax) lays them out.

mod array;
mod checkpoint;
mod tree;

pub use checkpoint::OrbaxCheckpoint;
