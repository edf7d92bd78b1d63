//! A checkpoint that MaxText restores: its tree of arrays in Orbax's form, with its settings beside it.

use super::{Planned, Request, Unconverted, beside::Change};
use crate::PipelineError;

/// What a reader that needs any element of an array must read at most.
const MAX_CHUNK_BYTES: usize = 64 << 20;

pub(super) fn plan(
    source: &Unconverted,
    request: &Request,
    scan_layers: bool,
) -> Result<Planned, PipelineError> {
    let checkpoint = &*source.checkpoint;
    let maxtext = source.model()?.to_maxtext(checkpoint, scan_layers, request.dtype)?;
    if !maxtext.differences.is_empty() && !request.accept {
        return Err(PipelineError::Unsupported(format!(
            "{}: MaxText would compute other numbers than the model:\n  {}\nwrite it all the same with --accept",
            source.files.name,
            maxtext.differences.join("\n  ")
        )));
    }
    let mut layout = maxtext.layout(checkpoint, MAX_CHUNK_BYTES)?;
    // So that the way back knows the model.
    let change = Change { dtype: request.dtype, numbers: true, quantised: None };
    layout.closing.extend(source.beside(change)?);
    let differ = maxtext.differences.iter().map(|difference| format!("MaxText differs: {difference}"));
    Ok(Planned { layout, notes: checkpoint.notes().iter().cloned().chain(differ).collect() })
}
