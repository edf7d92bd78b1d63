//! Rotary embedding parameters in both spellings.

use serde_json::{Map, Value, json};

use super::Reader;
use crate::blocks::rope::{Rope, Scaling};

/// Reads `rope_parameters` (transformers 5), or `rope_scaling` and `rope_theta` (before), into the
/// rotary embedding of heads of `dim` numbers.
///
/// Defaults and precedence are those of `RotaryEmbeddingConfigMixin` of transformers 5.23: theta is
/// taken from the object, then from the config, then 10000; `original_max_position_embeddings` falls
/// back to `max_position_embeddings`.
pub(crate) fn read_rope(r: &mut Reader<'_>, dim: usize, max_position_embeddings: usize) -> Rope {
    let theta = r.number_or("rope_theta", 10_000.0);
    check_whole_head(r);
    // Some exporters write that rotary pairs are not interleaved, which is what the classes do.
    r.fixed("rope_interleaved", &json!(false));
    let key = spelling(r);
    let (theta, scaling) = match r.object(key) {
        None => (theta, Scaling::Default),
        Some(mut parameters) => {
            let theta = parameters.number_or("rope_theta", theta);
            check_whole_head(&mut parameters);
            let scaling = read_scaling(&mut parameters, dim, max_position_embeddings);
            r.absorb(parameters);
            (theta, scaling)
        }
    };
    if theta <= 1.0 {
        r.unsupported("rope_theta", theta, "a base above 1 is expected");
    }
    if !dim.is_multiple_of(2) {
        r.unsupported("head_dim", dim, "rotary embeddings need an even number");
    }
    Rope { dim, theta, scaling }
}

/// The key that holds the parameters. Both spellings in one config must agree.
fn spelling(r: &mut Reader<'_>) -> &'static str {
    let empty = |value: &&Value| value.as_object().is_some_and(serde_json::Map::is_empty);
    let new = r.present("rope_parameters").filter(|v| !empty(v));
    let old = r.present("rope_scaling").filter(|v| !empty(v));
    if let (Some(new), Some(old)) = (new, old)
        && new != old
    {
        r.unsupported("rope_scaling", old, "it contradicts \"rope_parameters\"");
    }
    if old.is_some() { "rope_scaling" } else { "rope_parameters" }
}

fn check_whole_head(r: &mut Reader<'_>) {
    let factor = r.number_or("partial_rotary_factor", 1.0);
    #[allow(clippy::float_cmp, reason = "a whole head is exactly 1")]
    if factor != 1.0 {
        r.unsupported("partial_rotary_factor", factor, "only whole heads are rotated here");
    }
}

fn read_scaling(r: &mut Reader<'_>, dim: usize, max_position_embeddings: usize) -> Scaling {
    let legacy = r.text_or("type", "default");
    let kind = r.text_or("rope_type", legacy);
    match kind {
        "default" => Scaling::Default,
        "linear" => Scaling::Linear { factor: factor(r) },
        "dynamic" => Scaling::Dynamic { factor: factor(r), max_position_embeddings },
        "yarn" => Scaling::Yarn {
            factor: factor(r),
            original_max_position_embeddings: original_positions(r, max_position_embeddings),
            attention_factor: r.optional_number("attention_factor"),
            // Zero means the default, as `or` reads it in Python.
            beta_fast: r.optional_number("beta_fast").filter(|&x| x != 0.0).unwrap_or(32.0),
            beta_slow: r.optional_number("beta_slow").filter(|&x| x != 0.0).unwrap_or(1.0),
            mscale: r.optional_number("mscale"),
            mscale_all_dim: r.optional_number("mscale_all_dim"),
            truncate: r.flag_or("truncate", true),
        },
        "longrope" => {
            let original = original_positions(r, max_position_embeddings);
            let factor =
                r.optional_number("factor").unwrap_or(max_position_embeddings as f64 / original as f64);
            Scaling::LongRope {
                factor,
                original_max_position_embeddings: original,
                attention_factor: r.optional_number("attention_factor"),
                short_factor: r.numbers("short_factor", dim / 2),
                long_factor: r.numbers("long_factor", dim / 2),
            }
        }
        "llama3" => Scaling::Llama3 {
            factor: factor(r),
            low_freq_factor: r.number("low_freq_factor"),
            high_freq_factor: r.number("high_freq_factor"),
            original_max_position_embeddings: original_positions(r, max_position_embeddings),
        },
        _ => {
            let supported = "default, linear, dynamic, yarn, longrope and llama3 are supported";
            r.unsupported("rope_type", format!("{kind:?}"), supported);
            Scaling::Default
        }
    }
}

fn factor(r: &mut Reader<'_>) -> f64 {
    let factor = r.number("factor");
    if factor < 1.0 {
        r.unsupported("factor", factor, "a factor of 1 or more is expected");
    }
    factor
}

fn original_positions(r: &mut Reader<'_>, max_position_embeddings: usize) -> usize {
    r.count_or("original_max_position_embeddings", max_position_embeddings)
}

/// The inverse of [`read_rope`]: `rope_scaling` without what says the default. `None` where nothing is
/// stretched.
pub(crate) fn write_scaling(scaling: &Scaling) -> Option<Map<String, Value>> {
    let (keys, optional) = match scaling {
        Scaling::Default => return None,
        Scaling::Linear { factor } => (json!({ "rope_type": "linear", "factor": factor }), vec![]),
        Scaling::Dynamic { factor, .. } => (json!({ "rope_type": "dynamic", "factor": factor }), vec![]),
        Scaling::Yarn {
            factor,
            original_max_position_embeddings,
            attention_factor,
            beta_fast,
            beta_slow,
            mscale,
            mscale_all_dim,
            truncate,
        } => {
            let keys = json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            });
            #[allow(clippy::float_cmp, reason = "exactly the default")]
            let optional = vec![
                ("attention_factor", attention_factor.map(Value::from)),
                ("beta_fast", (*beta_fast != 32.0).then(|| json!(beta_fast))),
                ("beta_slow", (*beta_slow != 1.0).then(|| json!(beta_slow))),
                ("mscale", mscale.map(Value::from)),
                ("mscale_all_dim", mscale_all_dim.map(Value::from)),
                ("truncate", (!truncate).then(|| json!(false))),
            ];
            (keys, optional)
        }
        Scaling::LongRope {
            factor,
            original_max_position_embeddings,
            attention_factor,
            short_factor,
            long_factor,
        } => {
            let keys = json!({
                "rope_type": "longrope",
                "factor": factor,
                "original_max_position_embeddings": original_max_position_embeddings,
                "short_factor": short_factor,
                "long_factor": long_factor,
            });
            (keys, vec![("attention_factor", attention_factor.map(Value::from))])
        }
        Scaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
            let keys = json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            });
            (keys, vec![])
        }
    };
    let Value::Object(mut keys) = keys else { return None };
    keys.extend(optional.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    Some(keys)
}
