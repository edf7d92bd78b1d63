//! Where the weights lie in a file that holds more.

use std::collections::BTreeSet;

use super::walk::Found;

/// What training scripts call the model's state dict, in the order in which they are looked for.
const NAMES: [&str; 9] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
];
/// Names that a message lists.
const SHOWN: usize = 12;

/// The path of the weights, by the rule of [`PyTorchFile`](super::PyTorchFile); empty where the file
/// is a state dict as a whole.
pub(super) fn find(tensors: &[Found<'_>]) -> &'static str {
    let containers = tops(tensors.iter().filter(|found| found.ends.len() > 1));
    NAMES.into_iter().find(|name| containers.contains(name)).unwrap_or_default()
}

/// The part of `name` after the path `prefix`, if it lies there.
pub(super) fn strip<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    match prefix {
        "" => Some(name),
        prefix => name.strip_prefix(prefix)?.strip_prefix('.'),
    }
}

/// What lies at the top of a file, the first few.
pub(super) fn shown(tensors: &[Found<'_>]) -> Vec<String> {
    tops(tensors.iter()).into_iter().take(SHOWN).map(str::to_owned).collect()
}

/// The first parts of paths.
fn tops<'f>(tensors: impl Iterator<Item = &'f Found<'f>>) -> BTreeSet<&'f str> {
    tensors.filter_map(|found| found.name.get(..*found.ends.first()?)).collect()
}
