//! Configurations that must be refused, with everything that is wrong in one message.

use porter_zoo::{ConfigError, Model, ProblemKind};
use serde_json::{Value, json};

use crate::common::config;

/// The problems of a fixture's config with changes, as `key: kind`.
fn problems(model: &str, changes: &Value) -> Vec<(String, ProblemKind)> {
    let mut config = config(&format!("{model}/config.json"));
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    match Model::from_hf(&config, &[]) {
        Err(ConfigError::Refused { problems, .. }) => problems.into_iter().map(|p| (p.key, p.kind)).collect(),
        Err(error) => panic!("{changes}: {error}"),
        Ok(model) => panic!("{changes} was accepted: {model:?}"),
    }
}

#[test]
fn what_changes_the_maths_is_refused() {
    use ProblemKind::{Missing, Unknown, Unsupported, WrongType};
    let rope = |value: Value| json!({"rope_parameters": value});
    for (model, changes, key, kind) in [
        ("llama", rope(json!({"rope_type": "su", "factor": 2.0})), "rope_parameters.rope_type", Unsupported),
        ("llama", rope(json!({"rope_type": "linear"})), "rope_parameters.factor", Missing),
        ("llama", rope(json!({"rope_type": "linear", "factor": 0.5})), "rope_parameters.factor", Unsupported),
        (
            "llama",
            rope(json!({"rope_type": "default", "mrope_section": [1]})),
            "rope_parameters.mrope_section",
            Unknown,
        ),
        (
            "llama",
            rope(json!({"rope_type": "longrope", "short_factor": [1], "long_factor": [1]})),
            "rope_parameters.short_factor",
            WrongType,
        ),
        ("llama", rope(json!("default")), "rope_parameters", WrongType),
        ("llama", json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), "rope_scaling", Unsupported),
        ("llama", json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor", Unsupported),
        ("llama", json!({"rope_interleaved": true}), "rope_interleaved", Unsupported),
        ("llama", json!({"hidden_act": "xielu"}), "hidden_act", Unsupported),
        ("llama", json!({"head_dim": 21}), "head_dim", Unsupported),
        ("llama", json!({"num_key_value_heads": 4}), "num_key_value_heads", Unsupported),
        ("llama", json!({"hidden_size": null}), "hidden_size", Missing),
        ("llama", json!({"hidden_size": 9.5}), "hidden_size", WrongType),
        ("llama", json!({"hidden_size": 1_u64 << 60}), "hidden_size", WrongType),
        ("llama", json!({"num_hidden_layers": 100_000}), "num_hidden_layers", Unsupported),
        ("llama", json!({"vocab_size": -1}), "vocab_size", WrongType),
        ("llama", json!({"rms_norm_eps": "small"}), "rms_norm_eps", WrongType),
        ("llama", json!({"attention_bias": 1}), "attention_bias", WrongType),
        ("llama", json!({"logit_scale": 0.5}), "logit_scale", Unknown),
        (
            "llama",
            json!({"quantization_config": {"bits": 4}}),
            "quantization_config.quant_method",
            Unsupported,
        ),
        (
            "llama",
            json!({"quantization_config": {"quant_method": "mxfp4", "twist": 1}}),
            "quantization_config.twist",
            Unsupported,
        ),
        ("llama", json!({"sliding_window": 5}), "sliding_window", Unknown),
        ("qwen2", json!({"layer_types": ["full_attention"]}), "layer_types", Unsupported),
        (
            "qwen2",
            json!({"layer_types": ["full_attention", "full_attention", "sliding_attention"]}),
            "layer_types",
            Unsupported,
        ),
        ("bert", json!({"position_embedding_type": "relative_key"}), "position_embedding_type", Unsupported),
        ("bert", json!({"is_decoder": true}), "is_decoder", Unsupported),
        ("bert", json!({"pruned_heads": {"0": [1]}}), "pruned_heads", Unsupported),
    ] {
        let found = problems(model, &changes);
        assert!(found.contains(&(key.to_owned(), kind)), "{model} with {changes}: {found:?}");
    }
}

#[test]
fn all_problems_come_in_one_message() {
    let mut config = config("llama/config.json");
    config["hidden_act"] = json!("xielu");
    config["rms_norm_eps"] = json!("small");
    config["logit_scale"] = json!(0.5);
    config["residual_multiplier"] = json!(2);
    let error = Model::from_hf(&config, &["residual_multiplier"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "LlamaForCausalLM: the config is refused:\n  \
         rms_norm_eps: found \"small\", expected a number\n  \
         hidden_act: found \"xielu\"; supported are silu, swish, gelu, gelu_python, gelu_new, \
         gelu_pytorch_tanh, gelu_fast, quick_gelu, relu, tanh\n  \
         logit_scale: Porter does not know whether it changes the maths"
    );
}

#[test]
fn unknown_architectures_are_named_with_what_is_supported() {
    let class = |config: Value| Model::from_hf(&config, &[]).unwrap_err().to_string();
    let message = class(json!({"architectures": ["MambaForCausalLM"], "model_type": "llama"}));
    assert!(
        message.starts_with("\"MambaForCausalLM\" is not supported; supported are LlamaForCausalLM, "),
        "{message}"
    );
    assert!(class(json!({"model_type": "mamba"})).starts_with("\"mamba\" is not supported"));
    assert!(class(json!({})).contains("names no architecture"));
    assert!(class(json!([1])).contains("found a list"));
}

#[test]
fn the_model_type_stands_in_for_the_class() {
    let mut config = config("qwen3/config.json");
    config.as_object_mut().unwrap().remove("architectures");
    assert_eq!(Model::from_hf(&config, &[]).unwrap().class(), "Qwen3ForCausalLM");
}
