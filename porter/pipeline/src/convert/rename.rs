//! Other names for tensors.

use std::collections::BTreeMap;

use porter_weights::{Rename, rename_all, write::OutputTensor};

use crate::PipelineError;

/// Calls `tensors` as `rules` say. Names that several would get and rules that match nothing are
/// reported at once.
pub(super) fn apply(rules: &[Rename], tensors: &mut [OutputTensor]) -> Result<(), PipelineError> {
    let names: Vec<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let idle = rules.iter().filter(|rule| names.iter().all(|name| rule.apply(name).is_none()));
    let mut problems: Vec<String> =
        idle.map(|rule| format!("{rule}: no tensor is called like that")).collect();
    let renamed = rename_all(rules, names.iter().map(String::as_str)).unwrap_or_else(|collisions| {
        problems.extend(collisions.iter().map(ToString::to_string));
        BTreeMap::new()
    });
    if !problems.is_empty() {
        return Err(PipelineError::Usage(format!("--rename:\n  {}", problems.join("\n  "))));
    }
    for (tensor, name) in tensors.iter_mut().zip(&names) {
        if let Some(new) = renamed.get(name.as_str()) {
            tensor.name.clone_from(new);
        }
    }
    Ok(())
}
