//! Plugins on this machine: which Porter knows, where they are found, how they get there.

mod catalog;
mod info;
mod install;
mod libtpu;
mod locate;
mod python;

pub use catalog::{CATALOG, KnownPlugin, known};
pub use info::{ClientInfo, Extension, PluginInfo};
pub use install::install;
pub(crate) use libtpu::LIBTPU_SETTINGS;
pub use libtpu::prepare_libtpu;
pub use locate::{Listing, Located, Source, State, ensure, list, locate};
