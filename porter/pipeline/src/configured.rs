//! Models of which only the configuration is there.

use std::path::{Path, PathBuf};

use porter_import::{JsonFile, Progress, Source, resolve};
use porter_weights::{Expr, WeightMap};
use porter_zoo::Model;

use crate::{PipelineError, open::model};

/// A model that was read from its configuration alone: its programs can be written and compiled, and its
/// weights need not exist.
pub struct Configured {
    /// What to call it.
    pub name: String,
    /// The configured architecture.
    pub model: Model,
    /// Every parameter under its own name, for rewrites that change how weights are made.
    pub weight_map: WeightMap,
}

/// Reads the configuration of the model that a user names: a `config.json`, a folder that has one, or any
/// model that [`open`](crate::open) opens. Keys in `ignore` are taken to change nothing.
pub fn open_config(
    name: &str,
    ignore: &[String],
    progress: &dyn Progress,
) -> Result<Configured, PipelineError> {
    let ignore: Vec<&str> = ignore.iter().map(String::as_str).collect();
    let source = Source::parse(name)?;
    if let Some(path) = config_of(&source) {
        let config = JsonFile::read(&path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().ok();
        let folder =
            folder.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let name = folder.unwrap_or_else(|| name.to_owned());
        return configured(name, Model::from_hf(&config.value, &ignore)?);
    }
    let files = resolve(&source, progress)?;
    let checkpoint = porter_weights::open(&files.weights)?;
    let read = model(&files, &*checkpoint, &ignore);
    let model = read.ok_or_else(|| {
        PipelineError::Unsupported(format!(
            "{name}: no config.json says what the model is; put it beside the weights"
        ))
    })??;
    configured(files.name, model)
}

/// The `config.json` that a path names by itself or by its folder.
fn config_of(source: &Source) -> Option<PathBuf> {
    let Source::Path(path) = source else { return None };
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let is_index = path.to_str().is_some_and(|path| path.ends_with(".index.json"));
    let candidate = if path.is_dir() { path.join("config.json") } else { path.clone() };
    (candidate.is_file() && (path.is_dir() || is_json && !is_index)).then_some(candidate)
}

fn configured(name: String, model: Model) -> Result<Configured, PipelineError> {
    let mut weight_map = WeightMap::new();
    for (parameter, shape) in model.parameters()? {
        weight_map.insert(parameter.clone(), shape, Expr::source(parameter));
    }
    Ok(Configured { name, model, weight_map })
}
