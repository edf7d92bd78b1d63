//! From an artefact back to the tensors that it was ported from.

use std::path::Path;

use porter_ir::DType;
use porter_weights::{Encoding, write::OutputTensor};

use super::manifest::{MANIFEST, Manifest};
use crate::PipelineError;

/// Whether a folder holds an artefact.
pub(crate) fn is_one(folder: &Path) -> bool {
    matches!(Manifest::read(folder), Ok(Some(_)))
}

/// The source's tensors as expressions over the weights of the artefact in `folder`, floats in `dtype` where
/// one is asked for; none where there is no artefact.
pub(crate) fn back(folder: &Path, dtype: Option<DType>) -> Result<Option<Vec<OutputTensor>>, PipelineError> {
    let Some(manifest) = Manifest::read(folder)? else { return Ok(None) };
    let refuse = |problem: String| PipelineError::Artefact { path: folder.join(MANIFEST), problem };
    let lost = &manifest.undo.lost;
    if !lost.is_empty() {
        let lines: Vec<String> = lost.iter().map(|(name, why)| format!("  {name}: {why}")).collect();
        return Err(PipelineError::Unsupported(format!(
            "{} of the tensors that {} was ported from are not in it:\n{}\nconvert the source instead",
            lost.len(),
            folder.display(),
            lines.join("\n")
        )));
    }
    let tensors = manifest.undo.tensors.into_iter().map(|(name, tensor)| {
        let stored: DType = tensor.dtype.parse().map_err(|error| refuse(format!("{name}: {error}")))?;
        let dtype = dtype.filter(|_| stored.is_float()).unwrap_or(stored);
        let encoding = Encoding::Plain(dtype);
        Ok(OutputTensor { name, expr: tensor.expr, shape: tensor.shape.into(), encoding })
    });
    tensors.collect::<Result<_, _>>().map(Some)
}
