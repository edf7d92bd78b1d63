//! The `tokenizers` crate (0.23) panics on some damaged files. What is known to panic is checked first, for an error
//! that names the place; a panic that is left becomes an error too.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use serde_json::Value;

/// The parts of a `tokenizer.json` that are steps of a pipeline.
#[derive(Deserialize)]
struct Steps {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
}

/// A template post-processor.
#[derive(Deserialize)]
struct Template {
    single: Vec<Piece>,
    pair: Vec<Piece>,
    special_tokens: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
enum Piece {
    SpecialToken { id: String },
    Sequence { id: String },
}

/// Checks what the crate takes for granted.
pub(super) fn check(json: &[u8]) -> Result<(), String> {
    let steps: Steps = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    for (name, step) in [
        ("normalizer", &steps.normalizer),
        ("pre_tokenizer", &steps.pre_tokenizer),
        ("post_processor", &steps.post_processor),
        ("decoder", &steps.decoder),
    ] {
        check_step(name, step)?;
    }
    Ok(())
}

/// A step is absent, or an object with a type; sequences hold steps.
fn check_step(name: &str, step: &Value) -> Result<(), String> {
    if step.is_null() {
        return Ok(());
    }
    let kind = step.get("type").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| format!("{name} is not an object with a type"))?;
    for inner in ["normalizers", "pretokenizers", "processors", "decoders"] {
        for step in step.get(inner).and_then(Value::as_array).into_iter().flatten() {
            check_step(&format!("{name}.{inner}"), step)?;
        }
    }
    if kind == "TemplateProcessing" { check_template(name, step) } else { Ok(()) }
}

fn check_template(name: &str, step: &Value) -> Result<(), String> {
    let template = Template::deserialize(step).map_err(|error| format!("{name}: {error}"))?;
    for piece in template.single.iter().chain(&template.pair) {
        if let Piece::SpecialToken { id } = piece
            && !template.special_tokens.contains_key(id)
        {
            return Err(format!("{name} uses the special token {id:?}, which it does not define"));
        }
    }
    let only_a = |piece: &Piece| !matches!(piece, Piece::Sequence { id } if id != "A");
    if template.single.iter().all(only_a) {
        Ok(())
    } else {
        Err(format!("{name} uses a second text in its template for a single one"))
    }
}

/// Runs code of the crate; a panic of it becomes an error.
pub(super) fn guarded<T>(run: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(format!("the tokenizers library failed on it ({text})"))
        }
    }
}
