//! Where models come from: a path, a Python package, the Hugging Face hub, a bucket.
//!
//! [`Source::parse`] understands what a user writes, [`resolve`] turns it into files on this machine: the weights (for
//! `porter_weights::open`), the configuration, the tokenizer. Nothing here knows an architecture or a tensor.

mod cache;
#[cfg(any(feature = "hub", feature = "remote"))]
mod choice;
mod error;
mod folder;
#[cfg(feature = "hub")]
pub mod hub;
mod model_files;
pub mod pip;
mod progress;
#[cfg(feature = "remote")]
pub mod remote;
mod source;

pub use error::{ErrorKind, ImportError};
pub use model_files::{JsonFile, ModelFiles};
pub use progress::{Event, Progress, Silent};
pub use source::Source;

/// Finds the files of a model, fetching them first if they are not on this machine.
pub fn resolve(source: &Source, progress: &dyn Progress) -> Result<ModelFiles, ImportError> {
    match source {
        Source::Path(path) => folder::resolve(path),
        Source::Pip { name, version, path } => {
            pip::resolve(name, version, path.as_deref(), &pip::PipSettings::from_environment()?, progress)
        }
        #[cfg(feature = "hub")]
        Source::Hub { repository, revision, path } => {
            let settings = hub::HubSettings::from_environment()?;
            hub::resolve(repository, revision, path.as_deref(), &settings, progress)
        }
        #[cfg(feature = "remote")]
        Source::Bucket { url } => remote::resolve(url, progress),
        #[cfg(not(feature = "remote"))]
        Source::Bucket { url } => Err(ImportError::WithoutRemote(url.clone())),
        #[cfg(not(feature = "hub"))]
        Source::Hub { .. } => Err(ImportError::WithoutHub),
    }
}
