//! Opening a model: its files, its checkpoint's header, its architecture.

use porter_import::{ModelFiles, Progress, Source, resolve};
use porter_weights::{Checkpoint, Format, OpenOptions, WeightMap};
use porter_zoo::{ConfigError, Model};

use crate::PipelineError;

/// A model whose headers were read and whose weights were not.
pub struct Opened {
    /// Where it lies.
    pub files: ModelFiles,
    /// The checkpoint, headers read.
    pub checkpoint: Box<dyn Checkpoint>,
    /// The configured architecture.
    pub model: Model,
    /// How its parameters come from the checkpoint.
    pub weight_map: WeightMap,
}

/// Opens the model that a user names, fetching it where it is not on this machine. Configuration
/// keys in `ignore` are taken to change nothing.
pub fn open(name: &str, ignore: &[String], progress: &dyn Progress) -> Result<Opened, PipelineError> {
    open_with(name, ignore, &OpenOptions::default(), progress)
}

/// [`open`], with the checkpoint opened as `options` say.
pub fn open_with(
    name: &str,
    ignore: &[String],
    options: &OpenOptions,
    progress: &dyn Progress,
) -> Result<Opened, PipelineError> {
    let files = resolve(&Source::parse(name)?, progress)?;
    let checkpoint = checkpoint(&files, options)?;
    let ignore: Vec<&str> = ignore.iter().map(String::as_str).collect();
    let Some(model) = model(&files, &*checkpoint, &ignore) else {
        let folder = files.root.display();
        return Err(PipelineError::Unsupported(format!(
            "{name}: the weights are there but {folder} has no config.json, which says what the model is; \
             put it beside the weights"
        )));
    };
    let model = model?;
    let weight_map = weight_map(&model, &*checkpoint)?;
    Ok(Opened { files, checkpoint, model, weight_map })
}

/// The header of a model's checkpoint, on this machine or in a bucket.
pub fn checkpoint(files: &ModelFiles, options: &OpenOptions) -> Result<Box<dyn Checkpoint>, PipelineError> {
    #[cfg(feature = "remote")]
    if let Some(url) = files.weights.to_str().filter(|path| porter_remote::RemoteUrl::is_one(path)) {
        let url = porter_remote::RemoteUrl::parse(url).map_err(porter_import::ImportError::from)?;
        return Ok(porter_remote::open(&url)?);
    }
    if crate::onnx::is_onnx(&files.weights) {
        return Ok(Box::new(crate::onnx::OnnxCheckpoint::open(&files.weights)?));
    }
    Ok(porter_weights::open_with(&files.weights, options)?)
}

/// How the parameters of `model` come from a checkpoint, by the names of its format.
pub fn weight_map(model: &Model, checkpoint: &dyn Checkpoint) -> Result<WeightMap, PipelineError> {
    Ok(match checkpoint.format() {
        Format::Orbax => model.from_maxtext(checkpoint)?,
        _ => model.weight_map(checkpoint)?,
    })
}

/// The model that a checkpoint belongs to, by its own metadata or by the `config.json` beside it; none
/// where there is neither.
pub fn model(
    files: &ModelFiles,
    checkpoint: &dyn Checkpoint,
    ignore: &[&str],
) -> Option<Result<Model, ConfigError>> {
    match (checkpoint.format(), &files.config) {
        (Format::Gguf { .. }, _) => Some(Model::from_gguf(checkpoint, ignore)),
        (_, Some(config)) => Some(Model::from_hf(&config.value, ignore)),
        (_, None) => None,
    }
}
