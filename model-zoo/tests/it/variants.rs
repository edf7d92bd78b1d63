//! Configurations and GGUF files that no bundle has, on the fixtures' weights, against what
//! transformers computes for them (`tests/data/record.py`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use porter_numerics::{Budget, Bundle, Positions, View, compare};
use porter_weights::{Checkpoint, SafetensorsFile};
use porter_zoo::{Model, Phase, Taps};
use serde_json::Value;

use crate::{
    common::{folder, gguf},
    runner::{Runner, view},
};

/// Compares the logits of whole sequences.
fn logits(name: &str) {
    let variant = &described()[name];
    let recorded = SafetensorsFile::open(&data("variants.safetensors")).unwrap();
    let fixture = folder(variant["fixture"].as_str().unwrap());
    let bundle = Bundle::open(&fixture).unwrap();
    let case = bundle.cases().next().unwrap();
    let runner = runner(&fixture, &variant["config"]);

    let (shape, arguments) = runner.arguments(&case);
    let phase = Phase::Forward { batch: shape[0], tokens: shape[1], taps: Taps::None };
    let results = runner.forward(&phase, &arguments);
    let logits = view(&results["logits"]).last_positions(1).to_f64();
    let reference = tensor(&recorded, &format!("{name}.logits"));
    let ours = View::f64(&logits, reference.shape().clone()).unwrap();
    let comparison = compare(name, &ours, &reference, &Positions::All).unwrap();
    let budget = Budget::recorded(variant["f32_vs_f64_max_abs"].as_f64(), comparison.scale);
    assert!(budget.allows(&comparison), "{name}: {} > {budget:?}", comparison.max_abs);
}

/// Compares the greedy tokens too, which come through the cache.
///
/// Not for rotary embeddings whose frequencies change as the sequence grows: what a cache holds was
/// rotated by earlier ones, in transformers as here, and the recorded tokens come without a cache.
fn logits_and_tokens(name: &str) {
    logits(name);
    let variant = &described()[name];
    let recorded = SafetensorsFile::open(&data("variants.safetensors")).unwrap();
    let fixture = folder(variant["fixture"].as_str().unwrap());
    let bundle = Bundle::open(&fixture).unwrap();
    let prompt = bundle.cases().next().unwrap().generated().unwrap().unwrap().prompt;
    let prompt = prompt.iter().map(|&id| u32::try_from(id).unwrap()).collect();
    let tokens = tensor(&recorded, &format!("{name}.generated")).to_i64().unwrap();
    assert_eq!(runner(&fixture, &variant["config"]).greedy(&[prompt], tokens.len()).0, tokens, "{name}");
}

macro_rules! variants {
    ($($check:ident: $($name:ident)+;)*) => {
        $($(#[test] #[allow(non_snake_case, reason = "named as recorded")] fn $name() { $check(stringify!($name)); })+)*

        #[test]
        fn every_variant_is_tested() {
            let names: Vec<String> = described().into_keys().collect();
            let mut tested = vec![$($(stringify!($name)),+),*];
            tested.sort_unstable();
            assert_eq!(names, tested);
        }
    };
}

variants! {
    logits: gguf_F16 gguf_Q8_0 llama_dynamic llama_gelu llama_longrope llama_yarn_mscale;
    logits_and_tokens: mistral_full qwen2_windows qwen3_windows;
}

fn described() -> BTreeMap<String, Value> {
    serde_json::from_str(&std::fs::read_to_string(data("variants.json")).unwrap()).unwrap()
}

/// The fixture's weights under `config`, or the GGUF file that it names.
fn runner(fixture: &Path, config: &Value) -> Runner {
    if let Some(file) = config["gguf"].as_str() {
        let checkpoint = porter_weights::open(&gguf(file)).unwrap();
        return Runner::new(Model::from_gguf(checkpoint.as_ref(), &[]).unwrap(), checkpoint.as_ref());
    }
    let checkpoint = porter_weights::open(fixture).unwrap();
    Runner::new(Model::from_hf(config, &[]).unwrap(), checkpoint.as_ref())
}

fn tensor<'a>(file: &'a SafetensorsFile, name: &str) -> View<'a> {
    let tensor = file.tensor(name).unwrap();
    View::new(tensor.info.encoding.dtype().unwrap(), tensor.info.shape.clone(), tensor.bytes).unwrap()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
