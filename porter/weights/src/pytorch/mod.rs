//! PyTorch files: zip archives of `torch.save`, the legacy format before 1.6, TorchScript archives.
//!
//! `docs/decisions/0008-pytorch-reader.md` says why the reader is our own. The way of a file:
//! [`archive`], [`packing`] and [`legacy`] find the pickle and the storages; [`pickle`] turns the pickle into values
//! and calls nothing; [`globals`] says what the named functions mean; [`walk`] names the tensors that
//! [`rebuild`] and [`numpy`] recognise; [`data`] checks each against its storage; [`file`] is the whole.

pub(crate) mod archive;
pub(crate) mod blob;
pub(crate) mod data;
mod element;
pub(crate) mod fault;
mod file;
mod globals;
pub(crate) mod layout;
mod legacy;
mod numpy;
mod packing;
mod pickle;
mod rebuild;
mod state_dict;
mod storages;
mod walk;

pub use file::PyTorchFile;
