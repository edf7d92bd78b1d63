//! Opening a model: its files, its checkpoint's header, its architecture.

use porter_import::{ModelFiles, Progress, Source, resolve};
use porter_weights::{Checkpoint, Format, WeightMap};
use porter_zoo::Model;

use super::PipelineError;

/// A model whose headers were read and whose weights were not.
pub(crate) struct Opened {
    pub(crate) files: ModelFiles,
    pub(crate) checkpoint: Box<dyn Checkpoint>,
    pub(crate) model: Model,
    pub(crate) weight_map: WeightMap,
}

/// Opens the model that a user names, fetching it where it is not on this machine. Configuration
/// keys in `ignore` are taken to change nothing.
pub(crate) fn open(name: &str, ignore: &[String], progress: &dyn Progress) -> Result<Opened, PipelineError> {
    let files = resolve(&Source::parse(name)?, progress)?;
    let checkpoint = porter_weights::open(&files.weights)?;
    let ignore: Vec<&str> = ignore.iter().map(String::as_str).collect();
    let model = match (checkpoint.format(), &files.config) {
        (Format::Gguf { .. }, _) => Model::from_gguf(&*checkpoint, &ignore)?,
        (_, Some(config)) => Model::from_hf(&config.value, &ignore)?,
        (_, None) => {
            let folder = files.root.display();
            return Err(PipelineError::Unsupported(format!(
                "{name}: the weights are there but {folder} has no config.json, which says what the model is; \
                 put it beside the weights"
            )));
        }
    };
    let weight_map = model.weight_map(&*checkpoint)?;
    Ok(Opened { files, checkpoint, model, weight_map })
}
