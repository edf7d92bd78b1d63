//! Which layers attend through a sliding window.

use serde_json::{Map, Value};

use super::Reader;

/// The window of each of `layers` layers, from `layer_types`, `sliding_window`, `use_sliding_window`
/// and `max_window_layers`, as `Qwen2Config` and `Qwen3Config` of transformers 5.23 derive it: a window
/// that is not in use does not exist, and layers from `max_window_layers` on have it.
pub(crate) fn layer_windows(r: &mut Reader<'_>, layers: usize) -> Vec<Option<usize>> {
    let window = r.nullable_count("sliding_window", Some(4096));
    let window = if r.flag_or("use_sliding_window", false) { window } else { None };
    let full_below = r.index_or("max_window_layers", 28);
    let Some(types) = r.optional_texts("layer_types") else {
        return (0..layers).map(|i| window.filter(|_| i >= full_below)).collect();
    };
    if types.len() != layers {
        r.unsupported("layer_types", types.len(), format!("one for each of {layers} layers is expected"));
    }
    let mut windows = Vec::with_capacity(types.len());
    for (i, kind) in types.into_iter().enumerate() {
        match kind {
            "full_attention" | "attention" => windows.push(None),
            "sliding_attention" if window.is_some() => windows.push(window),
            _ => r.unsupported(
                "layer_types",
                format!("{kind:?} for layer {i}"),
                "full_attention is supported, and sliding_attention where use_sliding_window is true",
            ),
        }
    }
    windows
}

/// The inverse of [`layer_windows`].
pub(crate) fn write_windows(windows: &[Option<usize>], config: &mut Map<String, Value>) {
    let window = windows.iter().flatten().next();
    config.insert("use_sliding_window".to_owned(), window.is_some().into());
    let Some(&window) = window else { return };
    let kinds = windows.iter().map(|w| if w.is_some() { "sliding_attention" } else { "full_attention" });
    config.insert("sliding_window".to_owned(), window.into());
    config.insert("layer_types".to_owned(), kinds.collect());
}
